"""A pool of processes that decode images. An image may kill the process that decodes it.

A decoder has a fault, memory runs out and the system kills a process, or an image takes too long.
A process that is dead cannot say which image it was: each notes it in memory that is shared with
the main process.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

from symmim_mm.utils.signals import defer_interrupts

LIMIT_S = 600  # for one image, as LoaderHook's for a batch
AHEAD = 4  # tasks waiting for each process, so that memory stays bounded
PATH_BYTES = 4096


class WorkersDied(Exception):
    """One or more processes of a pool were killed, and all of them were ended.

    Args:
        tasks: those without a result.
        exit_codes: of the processes that died by themselves; below 0 they are signals.
        paths: the images that these were decoding.
    """

    def __init__(self, tasks: list, exit_codes: set[int], paths: list[str]) -> None:
        super().__init__(tasks, exit_codes, paths)
        self.tasks, self.exit_codes, self.paths = tasks, exit_codes, paths


class DecodingPool:
    """Processes that decode images; a context manager that ends them.

    Args:
        processes: how many.
        module: what they import before they start; it must define the functions that are run.
        setup: is called in every process as it starts.
    """

    def __init__(
        self, processes: int, module: str, setup: Callable[[], None] | None = None
    ) -> None:
        self.processes = processes
        context = _context(module)
        self.current = _CurrentImages(context, processes)
        self.pool = ProcessPoolExecutor(processes, context, _start, (self.current, setup))
        self.workers: dict[int, BaseProcess] = {}

    def __enter__(self) -> 'DecodingPool':
        return self

    def __exit__(self, *error: object) -> None:
        """End the processes; nothing is waited for that would be thrown away."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        for worker in self.workers.values():
            worker.terminate()
        for worker in self.workers.values():
            worker.join()

    def run(
        self, function: Callable[..., Any], tasks: Iterable, *arguments: Any
    ) -> Iterator[tuple[Any, Any]]:
        """Yield tasks with ``function(task, *arguments)``, as they are ready, in no fixed order.

        Args:
            function: decodes each image within :func:`decoding`.
            tasks: may be a generator, of which no more than a few for each process are taken ahead.
            *arguments: the same for all tasks.

        Raises:
            WorkersDied: after the results that were ready; ``tasks`` may be continued by another
                pool.
        """
        tasks, running, lost = iter(tasks), {}, []
        exhausted = False
        while True:
            while not exhausted and not lost and len(running) < AHEAD * self.processes:
                try:
                    task = next(tasks)
                except StopIteration:
                    exhausted = True
                    break
                try:
                    running[self._submit(function, task, arguments)] = task
                except BrokenProcessPool:
                    lost.append(task)
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    lost.append(task)
                    continue
                yield task, result
        if lost:
            raise self._death(lost)

    def _submit(self, function: Callable, task: Any, arguments: tuple) -> Future:
        with defer_interrupts():  # a process may start
            future = self.pool.submit(function, task, *arguments)
            self.workers.update(self.pool._processes or {})
        return future

    def _death(self, tasks: list) -> WorkersDied:
        self.pool.shutdown()  # waits for the others, which the executor ends with SIGTERM
        dead = [
            worker for worker in self.workers.values()
            if worker.exitcode not in (0, -signal.SIGTERM)
        ]  # fmt: skip
        paths = self.current.by_process()
        named = [paths[w.pid] for w in dead or self.workers.values() if w.pid in paths]
        return WorkersDied(tasks, {worker.exitcode for worker in dead}, named)


@contextmanager
def decoding(path: str, limit_s: float = LIMIT_S) -> Iterator[None]:
    """Note, in a process of a pool, which image is decoded within the block.

    Args:
        path: of the image.
        limit_s: seconds after which this process ends, whatever library it is in.
    """
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    _current.set(path)
    try:
        yield
    finally:
        _current.set('')
        signal.setitimer(signal.ITIMER_REAL, 0)


class _CurrentImages:
    """The image that each process of a pool is decoding, in memory that all of them share."""

    def __init__(self, context: ForkServerContext, processes: int) -> None:
        self.pids = context.Array('l', processes)
        self.paths = context.RawArray('c', processes * PATH_BYTES)

    def register(self) -> None:
        """Take a slot for the process that calls it."""
        with self.pids:
            number = list(self.pids).index(0)
            self.pids[number] = os.getpid()
        self.slot = slice(number * PATH_BYTES, (number + 1) * PATH_BYTES)

    def set(self, path: str) -> None:
        """Note the path of an image, ``''`` for none."""
        self.paths[self.slot] = os.fsencode(path)[:PATH_BYTES].ljust(PATH_BYTES, b'\0')

    def by_process(self) -> dict[int, str]:
        """Return process id -> path, of those that were in the middle of an image."""
        raw = self.paths.raw
        starts = range(0, len(raw), PATH_BYTES)
        paths = [raw[start : start + PATH_BYTES].rstrip(b'\0') for start in starts]
        pairs = zip(self.pids.get_obj(), paths, strict=True)  # a dead one may hold the lock
        return {pid: os.fsdecode(path) for pid, path in pairs if path}


_current: _CurrentImages  # of a process of a pool


def _context(module: str) -> ForkServerContext:
    """Return what starts the processes.

    They are forked from a process that has only imported ``module``, since this one may have
    threads. None of them hears Ctrl-C: the main process alone answers it.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([module])
    with defer_interrupts():  # what it forks hears none either
        forkserver.ensure_running()
    return context


def _start(current: _CurrentImages, setup: Callable[[], None] | None) -> None:
    """Set a process up: one thread, a slot, and an end together with its parent."""
    import cv2

    global _current
    cv2.setNumThreads(0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # Where the parent was killed it would wait for work for ever.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _current = current
    _current.register()
    if setup is not None:
        setup()


def _exit_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
