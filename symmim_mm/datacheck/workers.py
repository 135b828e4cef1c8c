"""Many images checked in several processes, whatever happens to one of them.

Where a process dies, the image that it was decoding is checked again in a process of its own, and
named if that dies, too: the first may have been killed for want of memory.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from symmim_mm.datacheck.image import DecoderWarnings, Options, inspect_image, inspect_label_map
from symmim_mm.datacheck.layout import Job, Outcome
from symmim_mm.datasets.decoding_pool import LIMIT_S, DecodingPool, WorkersDied, decoding

CHUNK = 32  # images handed over at a time

_warnings: DecoderWarnings | None = None  # of a worker process


def check_job(job: Job, options: Options, warnings: DecoderWarnings | None = None) -> Outcome:
    """Check one image and, where it has one, its label map."""
    path = os.path.join(options.root, job.path)
    found, size = inspect_image(path, job.path, options, warnings)
    findings = [(kind, job.path, text) for kind, text in found]
    if job.size and size and job.size != size:
        text = f'image {size[0]} x {size[1]}, annotations say {job.size[0]} x {job.size[1]}'
        findings.append(('size-differs', job.path, text))
    if job.label_map is None:
        return Outcome(findings)
    path = os.path.join(options.root, job.label_map)
    found, highest = inspect_label_map(path, options, size)
    findings += [(kind, job.label_map, text) for kind, text in found]
    return Outcome(findings, highest)


def check_jobs(
    jobs: Iterable[Job], options: Options, processes: int, limit_s: float = LIMIT_S
) -> Iterator[tuple[Job, Outcome]]:
    """Check images in processes; outcomes come as they are ready, in no fixed order.

    No more than a few hundred jobs for each process are taken ahead. An image that is not done
    after ``limit_s`` seconds ends its process.
    """
    chunks: Iterator[list[Job]] = _chunks(jobs)
    while True:
        try:
            yield from _check_chunks(chunks, options, processes, limit_s)
            return
        except WorkersDied as death:
            lost = list(chain.from_iterable(death.tasks))
            suspects = [job for job in lost if job.path in death.paths] or lost
            chunks = chain(_chunks([job for job in lost if job not in suspects]), chunks)
        for job in suspects:
            try:
                yield from _check_chunks([[job]], options, 1, limit_s)
            except WorkersDied:
                yield job, Outcome([('crash', job.path, '')])


def _check_chunks(
    chunks: Iterable[list[Job]], options: Options, processes: int, limit_s: float
) -> Iterator[tuple[Job, Outcome]]:
    with DecodingPool(processes, __name__, _catch_warnings) as pool:
        for chunk, outcomes in pool.run(_check_chunk, chunks, options, limit_s):
            yield from zip(chunk, outcomes, strict=True)


def _chunks(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    jobs = iter(jobs)
    while chunk := list(islice(jobs, CHUNK)):
        yield chunk


def _catch_warnings() -> None:
    """Set a worker process up."""
    global _warnings
    _warnings = DecoderWarnings()


def _check_chunk(jobs: list[Job], options: Options, limit_s: float) -> list[Outcome]:
    outcomes = []
    for job in jobs:
        with decoding(job.path, limit_s):
            outcomes.append(check_job(job, options, _warnings))
    return outcomes
