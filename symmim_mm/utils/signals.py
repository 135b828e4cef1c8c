"""Deferred signals: while worker processes start, and while a checkpoint is written."""

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def defer_signals(*numbers: signal.Signals) -> Iterator[None]:
    """Let signals that arrive within the block take effect at its end, each once.

    They do so in the order of ``numbers``; after one whose handler raises an error the others are
    forgotten. Outside of the main thread, which alone handles signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived, handlers = set(), {}
    try:
        for number in numbers:
            if signal.getsignal(number) is not None:  # set by C code, Python cannot restore it
                handlers[number] = signal.signal(number, lambda number, _: arrived.add(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in numbers:
            if number in arrived:
                signal.raise_signal(number)


@contextmanager
def defer_interrupts(
    forked: bool = False, blocked: Iterable[signal.Signals] = ()
) -> Iterator[None]:
    """Let Ctrl-C within the block take effect at its end; processes started there ignore it.

    A terminal sends Ctrl-C to every process of a command, and the main process alone responds. A
    worker that has only just started would print a traceback, and an executor that is interrupted
    while it starts a process loses track of it.

    Args:
        forked: the processes are forked from this one, without Python's resource tracker.
        blocked: signals that this process gets at the end, too, and that the others start with
            blocked.
    """
    if not forked:
        resource_tracker.ensure_running()  # starting it later would unblock SIGINT
    with defer_signals(signal.SIGINT):
        # The mask is inherited by the processes; here another thread may still take the signal.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *blocked})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
