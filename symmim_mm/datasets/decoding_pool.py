"""A pool of processes that decode images, any of which may kill the process that decodes it.

A decoder has a fault, memory runs out and the system kills a process, or an image takes too long.
A process that is dead cannot say which image it was: each notes that in a file beforehand.
"""

import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from symmim_mm.utils.signals import defer_interrupts

LIMIT_S = 600  # for one image, as LoaderHook's for a batch
AHEAD = 4  # tasks waiting for each process, so that memory stays bounded

_note: int  # of a process of a pool: the file that holds the path of its current image


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
        self.notes = TemporaryDirectory(prefix='decoding-')
        arguments = (self.notes.name, setup)
        self.pool = ProcessPoolExecutor(processes, _context(module), _start, arguments)
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
        self.notes.cleanup()

    def run(
        self, function: Callable[..., Any], tasks: Iterable, *arguments: Any
    ) -> Iterator[tuple[Any, Any]]:
        """Yield tasks with ``function(task, *arguments)``, as they are ready, in no fixed order.

        The function decodes each image within :func:`decoding`. No more than a few tasks for each
        process are taken ahead.

        Raises:
            WorkersDied: after the results that were ready; another pool may continue ``tasks``.
        """
        tasks, running, lost = iter(tasks), {}, []
        while True:
            try:
                room = 0 if lost else AHEAD * self.processes - len(running)
                for task in islice(tasks, room):
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
        codes = {pid: worker.exitcode for pid, worker in self.workers.items()}
        dead = {pid: code for pid, code in codes.items() if code not in (0, -signal.SIGTERM)}
        notes = {int(note.name): note.read_bytes() for note in Path(self.notes.name).iterdir()}
        paths = [os.fsdecode(notes[pid]) for pid in dead or codes if notes.get(pid)]
        return WorkersDied(tasks, set(dead.values()), paths)


@contextmanager
def decoding(path: str, limit_s: float = LIMIT_S) -> Iterator[None]:
    """Note, in a process of a pool, which image is decoded within the block.

    After ``limit_s`` seconds the process ends, whatever library it is in.
    """
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    os.pwrite(_note, os.fsencode(path), 0)
    try:
        yield
    finally:
        os.ftruncate(_note, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


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


def _start(notes: str, setup: Callable[[], None] | None) -> None:
    """Set a process up: one thread, a note, and an end together with its parent."""
    import cv2

    global _note
    cv2.setNumThreads(0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # Where the parent was killed it would wait for work for ever.
    threading.Thread(target=_exit_with_parent, args=[notes], daemon=True).start()
    _note = os.open(Path(notes, str(os.getpid())), os.O_CREAT | os.O_WRONLY)
    if setup is not None:
        setup()


def _exit_with_parent(notes: str) -> None:
    multiprocessing.parent_process().join()
    shutil.rmtree(notes, ignore_errors=True)
    os._exit(1)
