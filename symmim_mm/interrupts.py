"""Ctrl-C while worker processes start."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def interrupts_wait(forked: bool = False) -> Iterator[None]:
    """Let an interrupt within the block take effect at its end; processes begun there hear none.

    A terminal sends Ctrl-C to every process it has started; the main one alone answers it. One that
    has only begun would end with a traceback instead, and an executor that is interrupted while it
    starts a process does not know of it and leaves it behind.

    Args:
        forked: the processes are forked from this one, without help of Python's resource tracker.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not forked:
        resource_tracker.ensure_running()  # its start ends with interrupts let in again
    came = []
    # The mask is for the processes; in this one another thread may still take the signal.
    handler = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
