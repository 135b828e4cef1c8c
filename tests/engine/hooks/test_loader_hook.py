"""Loader workers outlive the signals that a scheduler sends to every process of a job."""

import os
import signal
import socket
import threading
import time
from multiprocessing.resource_sharer import _resource_sharer as sharer
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from symmim_mm.engine.hooks.loader_hook import LoaderHook


def signal_in_the_worker(name: str):
    """What a worker does at its start, before anything of ours: it is sent a signal."""
    return lambda worker_id: os.kill(os.getpid(), signal.Signals[name])


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1'])
@pytest.mark.parametrize('looked_after', ['train_dataloader', 'val_dataloader'])
def test_a_signal_while_workers_start(name: str, looked_after: str) -> None:
    plain = DataLoader(TensorDataset(torch.arange(6)), batch_size=2)
    loader = DataLoader(
        TensorDataset(torch.arange(6)),
        batch_size=2,
        num_workers=2,
        worker_init_fn=signal_in_the_worker(name),
        multiprocessing_context='fork',
    )
    loaders = dict(train_dataloader=plain, val_dataloader=plain, val_loop=True)
    LoaderHook(timeout=60).before_train(SimpleNamespace(**{**loaders, looked_after: loader}))
    for _ in range(2):  # every epoch starts workers of its own
        assert [batch.tolist() for (batch,) in loader] == [[0, 1], [2, 3], [4, 5]]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert not blocked & {signal.SIGTERM, signal.SIGUSR1}


def test_this_process_gets_its_signal_when_the_workers_started() -> None:
    received = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: received.append(number))
    loader = DataLoader(TensorDataset(torch.arange(4)), num_workers=1)
    start = loader._get_iterator

    def start_with_a_signal():
        # To this thread: others, which earlier tests may have left, do not block signals.
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        assert not received
        return start()

    try:
        loader._get_iterator = start_with_a_signal
        hooked = SimpleNamespace(train_dataloader=loader, val_loop=None)
        LoaderHook(timeout=60).before_train(hooked)
        assert len(list(loader)) == 4
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert received == [signal.SIGUSR1]


def test_an_interrupt_while_workers_start(capfd) -> None:
    """A terminal sends it to the workers, too: all start, hear nothing, and are ended in order."""
    loader = DataLoader(TensorDataset(torch.arange(4)), num_workers=2)
    start = loader._get_iterator
    started = []

    def start_with_an_interrupt():
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        started.append(start())
        for worker in started[0]._workers:
            os.kill(worker.pid, signal.SIGINT)
        return started[0]

    loader._get_iterator = start_with_an_interrupt
    LoaderHook(timeout=60).before_train(SimpleNamespace(train_dataloader=loader, val_loop=None))
    with pytest.raises(KeyboardInterrupt):
        iter(loader)
    workers = started.pop()._workers  # torch ends those of an iterator that is gone
    assert len(workers) == 2
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert capfd.readouterr().err == ''


class Disconnecting(Dataset):
    """Whoever asks the worker for a tensor is gone before it answers."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        if sharer._listener is None:
            sharer._start()
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(sharer._address)
        time.sleep(0.5)
        return index


@pytest.mark.parametrize('hooked', [True, False])
def test_a_worker_says_nothing_when_its_process_is_gone(hooked: bool, capfd) -> None:
    loader = DataLoader(Disconnecting(), num_workers=1, multiprocessing_context='fork')
    if hooked:
        LoaderHook(timeout=60).before_train(SimpleNamespace(train_dataloader=loader, val_loop=None))
    assert len(list(loader)) == 1
    assert ('Error' in capfd.readouterr().err) != hooked
