"""Signals that wait: while worker processes start, and while a checkpoint is written."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def signals_wait(*numbers: signal.Signals) -> Iterator[None]:
    """Let signals that come within the block take effect at its end, each once.

    They do so in the order of ``numbers``; after one whose handler raises an error the others are
    forgotten. Outside of the main thread, which alone answers signals, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came, handlers = set(), {}
    try:
        for number in numbers:
            if signal.getsignal(number) is not None:  # of a library in C, which Python cannot set
                handlers[number] = signal.signal(number, lambda number, _: came.add(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in numbers:
            if number in came:
                signal.raise_signal(number)


@contextmanager
def interrupts_wait(forked: bool = False) -> Iterator[None]:
    """Let Ctrl-C within the block take effect at its end; processes begun there hear none.

    A terminal sends Ctrl-C to every process it has started; the main one alone answers it. One that
    has only begun would end with a traceback instead, and an executor that is interrupted while it
    starts a process does not know of it and leaves it behind.

    Args:
        forked: the processes are forked from this one, without help of Python's resource tracker.
    """
    if not forked:
        resource_tracker.ensure_running()  # its start ends with interrupts let in again
    with signals_wait(signal.SIGINT):
        # The mask is for the processes; in this one another thread may still take the signal.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
