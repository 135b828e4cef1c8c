"""Notices loader workers that hang, and keeps them alive while a stopped run saves."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from symmim_mm.registry import HOOKS
from symmim_mm.utils.signals import interrupts_wait


class OutliveSignals:
    """Start of a loader worker: from now on only its own process may end it.

    A scheduler signals every process of a job, but the process that saves still wants batches.
    torch lets a worker end quietly on SIGTERM from its own process and with an error on one from
    elsewhere; here the latter is ignored, and SIGUSR1 from anywhere. What comes before this is
    called is kept back by :func:`start_shielded`.

    Args:
        init: what else a worker does at its start.
    """

    def __init__(self, init: Callable[[int], None] | None) -> None:
        self.init = init

    def __call__(self, worker_id: int) -> None:
        if self.init is not None:
            self.init(worker_id)
        sys.excepthook = tell_unless_disconnected
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        # Blocked here, and in the thread, which inherits the mask, it waits to be fetched; only
        # so does Python tell who sent it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()


def tell_unless_disconnected(kind: type, error: BaseException, trace: TracebackType) -> None:
    """For ``sys.excepthook`` of a worker: that its own process has gone, that one tells itself.

    The thread that passes tensors on would print a traceback when a run is interrupted.
    """
    if not issubclass(kind, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)


def end_with(process: int) -> None:
    """Wait for SIGTERM from a process, ignoring those of others, and end this one."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != process:
        pass
    os._exit(0)


def start_shielded(start: Callable[[], Any], forked: bool) -> Any:
    """Call a function that starts loader workers, which begin with the signals blocked.

    Otherwise one that comes after torch's own handlers are set and before :class:`OutliveSignals`
    would end the worker, and with it the run. This process gets its own when the workers started,
    Ctrl-C too: torch does not end workers in order of which some were not yet started.

    Args:
        start: starts them.
        forked: as :func:`~symmim_mm.utils.signals.interrupts_wait`.
    """
    with interrupts_wait(forked):  # first: what it may start would let SIGTERM in again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
        try:
            return start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def look_after(loader: DataLoader, timeout: float) -> None:
    """Let a loader that was not iterated yet wait no longer for a batch, and shield its workers.

    Args:
        timeout: seconds.
    """
    if loader.num_workers:
        loader.timeout = timeout
        loader.worker_init_fn = OutliveSignals(loader.worker_init_fn)
        method = (loader.multiprocessing_context or multiprocessing).get_start_method()
        loader._get_iterator = partial(start_shielded, loader._get_iterator, method == 'fork')


@HOOKS.register_module()
class LoaderHook(Hook):
    """Bounds the time to wait for a batch from loader workers.

    A worker that dies is noticed at once, whatever the timeout.

    Args:
        timeout: seconds without a batch after which the run ends; 0 waits for ever. Reading a
            batch from a cold network file system takes long, so be generous.
    """

    def __init__(self, timeout: float = 600) -> None:
        self.timeout = timeout

    def before_train(self, runner: Runner) -> None:
        look_after(runner.train_dataloader, self.timeout)
        if runner.val_loop is not None:
            look_after(runner.val_dataloader, self.timeout)

    def before_test(self, runner: Runner) -> None:
        look_after(runner.test_dataloader, self.timeout)
