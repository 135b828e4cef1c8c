"""Loader workers outlive the signals that a scheduler sends to every process of a job."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.resource_sharer import _resource_sharer as sharer

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from symmim_mm.engine.runner.resumable_loader import ResumableLoader

SIX = TensorDataset(torch.arange(6))


def reporting(dataset: Dataset = SIX, **options) -> ResumableLoader:
    """A loader whose workers are forked; ``options`` are those of ``DataLoader``."""
    loader = DataLoader(dataset, batch_size=2, multiprocessing_context='fork', **options)
    return ResumableLoader(loader, seed=0)


def signal_in_the_worker(name: str) -> Callable[[int], None]:
    """What a worker does at its start, before anything of ours: it is sent a signal."""
    return lambda worker_id: os.kill(os.getpid(), signal.Signals[name])


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1'])
def test_a_signal_while_workers_start(name: str) -> None:
    loader = reporting(num_workers=2, worker_init_fn=signal_in_the_worker(name))
    for _ in range(2):  # every epoch starts workers of its own
        assert [batch.tolist() for (batch,) in loader] == [[0, 1], [2, 3], [4, 5]]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert not blocked & {signal.SIGTERM, signal.SIGUSR1}


def test_this_process_gets_its_signal_when_the_workers_have_started(monkeypatch) -> None:
    received = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: received.append(number))
    start = DataLoader._get_iterator

    def start_with_a_signal(loader: DataLoader) -> object:
        # To this thread: others, which earlier tests may have left, do not block signals.
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        assert not received
        return start(loader)

    monkeypatch.setattr(DataLoader, '_get_iterator', start_with_a_signal)
    try:
        assert len(list(reporting(num_workers=1))) == 3
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert received == [signal.SIGUSR1]


def test_an_interrupt_while_workers_start(monkeypatch, capfd) -> None:
    """A terminal sends it to the workers, too: all start, ignore it, and are ended in order."""
    start = DataLoader._get_iterator
    started = []

    def start_with_an_interrupt(loader: DataLoader) -> object:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        started.append(start(loader))
        for worker in started[0]._workers:
            os.kill(worker.pid, signal.SIGINT)
        return started[0]

    monkeypatch.setattr(DataLoader, '_get_iterator', start_with_an_interrupt)
    with pytest.raises(KeyboardInterrupt):
        iter(reporting(num_workers=2))
    workers = started.pop()._workers  # torch ends those of an iterator that is gone
    assert len(workers) == 2
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert capfd.readouterr().err == ''


class Disconnecting(Dataset):
    """The process that asks the worker for a tensor is gone before it answers."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        if sharer._listener is None:
            sharer._start()
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(sharer._address)
        time.sleep(0.5)
        return index


@pytest.mark.parametrize('ours', [True, False])
def test_a_worker_prints_nothing_when_its_process_is_gone(ours: bool, capfd) -> None:
    plain = DataLoader(Disconnecting(), num_workers=1, multiprocessing_context='fork')
    loader = ResumableLoader(plain, seed=0) if ours else plain
    assert len(list(loader)) == 1
    assert ('Error' in capfd.readouterr().err) != ours
