"""Many pictures checked in several processes, whatever happens to one of them.

A picture may kill the process that decodes it: a decoder has a fault, memory runs out, or a time
limit has passed, at which the system kills it. The pictures that were under way are then checked
again one at a time, and the one that kills its process a second time is named.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from symmim_mm.datacheck.image import Complaints, Options
from symmim_mm.datacheck.job import Job, Outcome, check_job
from symmim_mm.datasets.decoding_processes import (
    LIMIT_S,
    begin_decoding,
    decoding_context,
    time_limit,
)
from symmim_mm.utils.signals import defer_interrupts

CHUNK = 32  # pictures handed over at a time
AHEAD = 4  # chunks waiting for each process, so that memory stays bounded

_complaints: Complaints | None = None


def _begin() -> None:
    """Set a worker process up."""
    global _complaints
    begin_decoding()
    _complaints = Complaints()


def _check_chunk(jobs: list[Job], options: Options, limit_s: float) -> list[Outcome]:
    outcomes = []
    for job in jobs:
        try:
            with time_limit(limit_s):
                outcomes.append(check_job(job, options, _complaints))
        except Exception as error:
            error.add_note(f'while checking {job.path}')
            raise
    return outcomes


class Workers:
    """Checks pictures in ``count`` processes; a context manager that ends them.

    ``limit_s``: seconds after which a picture that is not done ends its process.
    """

    def __init__(self, count: int, options: Options, limit_s: float = LIMIT_S) -> None:
        self.count = count
        self.options = options
        self.limit_s = limit_s
        self.context = decoding_context(__name__)
        self.pool = self._start(count)
        self.running: dict[Future, list[Job]] = {}
        self.lost: list[list[Job]] = []  # chunks whose process died

    def _start(self, count: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(count, mp_context=self.context, initializer=_begin)

    def __enter__(self) -> 'Workers':
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def check(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Check pictures; outcomes come as they are ready, in no fixed order.

        ``jobs`` may be a generator: no more than a few hundred for each process are taken ahead.
        """
        for chunk in _chunks(jobs):
            self._submit(chunk)
            while len(self.running) >= AHEAD * self.count or self.lost:
                yield from self._collect()
        while self.running or self.lost:
            yield from self._collect()

    def _submit(self, chunk: list[Job]) -> None:
        try:
            self.running[self._hand_over(self.pool, chunk)] = chunk
        except BrokenProcessPool:
            self.lost.append(chunk)

    def _hand_over(self, pool: ProcessPoolExecutor, chunk: list[Job]) -> Future:
        with defer_interrupts():  # a process may start
            return pool.submit(_check_chunk, chunk, self.options, self.limit_s)

    def _collect(self) -> Iterator[tuple[Job, Outcome]]:
        """Outcomes of what is done; where a process has died, of everything under way."""
        done = wait(self.running, return_when=FIRST_COMPLETED).done if self.running else ()
        for future in done:
            chunk = self.running.pop(future)
            try:
                outcomes = future.result()
            except BrokenProcessPool:
                self.lost.append(chunk)
                continue
            yield from zip(chunk, outcomes, strict=True)
        if self.lost and not self.running:  # with one process the executor stops all of them
            lost, self.lost = self.lost, []
            self.pool.shutdown()
            yield from self._one_by_one(job for chunk in lost for job in chunk)
            self.pool = self._start(self.count)

    def _one_by_one(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Check pictures one at a time and name those that kill the process they are in."""
        pool = self._start(1)
        try:
            for job in jobs:
                try:
                    outcome = self._hand_over(pool, [job]).result()[0]
                except BrokenProcessPool:
                    outcome = Outcome([('crash', job.path, '')])
                    pool.shutdown()
                    pool = self._start(1)
                yield job, outcome
        finally:
            pool.shutdown(cancel_futures=True)


def _chunks(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    jobs = iter(jobs)
    while chunk := list(islice(jobs, CHUNK)):
        yield chunk
