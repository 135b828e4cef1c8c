"""Loader workers that outlive the signals which a scheduler sends to every process of a job."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from symmim_mm.utils.signals import defer_interrupts

Result = TypeVar('Result')


def outlive_signals(init: Callable[[int], None] | None, worker_id: int) -> None:
    """Let a loader worker, after its own ``init``, be ended by its own process only.

    A scheduler signals every process of a job, but the process that saves still needs batches.
    torch lets a worker end quietly on SIGTERM from its own process and with an error on one from
    elsewhere; here the latter is ignored, and SIGUSR1 from anywhere. Signals that arrive before
    this is called are held back by :func:`start_shielded`.
    """
    if init is not None:
        init(worker_id)
    sys.excepthook = ignore_disconnection
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # Blocked here and in the thread, which inherits the mask, the signal waits to be fetched; this
    # is how Python learns who sent it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()


def ignore_disconnection(kind: type, error: BaseException, trace: TracebackType) -> None:
    """Print an error of a worker, unless it is that its own process has gone.

    For ``sys.excepthook``: the thread that passes tensors on would print a traceback when a run is
    interrupted.
    """
    if not issubclass(kind, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)


def end_with(process: int) -> None:
    """Wait for SIGTERM from a process, ignoring those of others, and end this one."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != process:
        pass
    os._exit(0)


def start_shielded(start: Callable[[], Result], forked: bool) -> Result:
    """Call a function that starts loader workers, which begin with the signals blocked.

    Otherwise a signal that arrives after torch's own handlers are set and before
    :func:`outlive_signals` would end the worker, and with it the run. This process gets its own
    signals when the workers have started, Ctrl-C too: torch does not end workers in order some of
    which were not started yet. ``forked`` is that of ``defer_interrupts``.
    """
    with defer_interrupts(forked):  # first: what it may start would unblock SIGTERM
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
        try:
            return start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
