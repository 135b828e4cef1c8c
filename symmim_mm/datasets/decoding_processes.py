"""Processes that decode pictures. A picture may kill the process that decodes it, or keep it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

from symmim_mm.utils.signals import defer_interrupts

LIMIT_S = 600  # for one picture, as LoaderHook's for a batch
NOTE_BYTES = 4096  # of a path


def decoding_context(module: str) -> ForkServerContext:
    """Where such processes come from.

    They are forked from a process that has only imported ``module``, since this one may have
    threads. None of them hears Ctrl-C: the main process alone answers it.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([module])
    with defer_interrupts():  # what it forks hears none either
        forkserver.ensure_running()
    return context


def begin_decoding() -> None:
    """Set up the process that calls it: one thread, and an end together with its parent."""
    import cv2

    cv2.setNumThreads(0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # Where the parent was killed it would wait for work for ever.
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End this process, whatever library it is in, if the block takes longer."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class UnderWay:
    """The picture that each process of a pool is decoding.

    It stands in memory that they share with the main process: one that a picture has killed cannot
    say which it was. Handed to each process once, as it starts.

    Args:
        processes: the most that are ever started.
    """

    def __init__(self, context: ForkServerContext, processes: int) -> None:
        self.pids = context.Array('l', processes)
        self.paths = context.RawArray('c', processes * NOTE_BYTES)

    def begin(self) -> None:
        """Take a place for the process that calls it."""
        with self.pids:
            place = list(self.pids).index(0)
            self.pids[place] = os.getpid()
        self.slot = slice(place * NOTE_BYTES, (place + 1) * NOTE_BYTES)

    @contextmanager
    def picture(self, path: str) -> Iterator[None]:
        """Note, in a process that has a place, what it decodes within the block."""
        self.paths[self.slot] = os.fsencode(path)[:NOTE_BYTES].ljust(NOTE_BYTES, b'\0')
        try:
            yield
        finally:
            self.paths[self.slot] = bytes(NOTE_BYTES)

    def by_process(self) -> dict[int, str]:
        """Process id -> path, of those that were in the middle of a picture."""
        notes = self.paths.raw
        starts = range(0, len(notes), NOTE_BYTES)
        paths = [notes[start : start + NOTE_BYTES].rstrip(b'\0') for start in starts]
        pairs = zip(self.pids.get_obj(), paths, strict=True)  # a dead one may hold the lock
        return {pid: os.fsdecode(path) for pid, path in pairs if path}
