"""Loader workers that outlive the signals which a scheduler sends to every process of a job."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # of schedulers


def outlive_signals(init: Callable[[int], None] | None, worker_id: int) -> None:
    """Let a loader worker, after its own ``init``, be ended by its own process only.

    A scheduler signals every process of a job, but the process that saves still needs batches.
    torch lets a worker end quietly on SIGTERM from its own process and with an error on one from
    elsewhere; here the latter is ignored, and SIGUSR1 from anywhere. A worker must start with
    ``SIGNALS`` blocked: one that arrives after torch's own handlers are set and before this is
    called would end it, and with it the run.
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
