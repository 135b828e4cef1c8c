"""Several processes that write the shards of a prepared set."""

import os
import signal
import tarfile
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from symmim_mm.datasets.decoding_processes import (
    UnderWay,
    begin_decoding,
    decoding_context,
    time_limit,
)
from symmim_mm.datasets.shards.image import prepare_picture
from symmim_mm.datasets.shards.writer import Written, member_name, read_shard, write_shard
from symmim_mm.datasets.transforms.decode_region import read_file
from symmim_mm.utils.errors import Fault, describe_exit
from symmim_mm.utils.files import remove_parts
from symmim_mm.utils.signals import interrupts_wait

AGAIN = 'call the same command again to go on'

_under_way: UnderWay | None = None


class Recipe(NamedTuple):
    """What is done to each picture, and what where one is unreadable: skip it, or stop.

    ``limit_s``: seconds after which a picture that is not done ends its process.
    """

    source: str
    short_side: int
    quality: int
    skip: bool
    limit_s: float


class Task(NamedTuple):
    """A shard to write: its path, the names of its pictures, its SHA-256 if it was written once."""

    path: Path
    names: list[str]
    sha256: str | None


def write_shards(
    tasks: list[Task],
    recipe: Recipe,
    jobs: int,
    progress: Callable[[int, int], None],
) -> list[Written]:
    """Write the shards that are not there yet.

    Args:
        tasks: the shards, all of them in one folder.
        jobs: processes.
        progress: is called with the numbers of pictures that are done, and of all.

    Raises:
        PictureError, OSError: as :func:`~symmim_mm.datasets.shards.writer.write_shard`.
        Fault: a process was killed, or a picture took too long.
    """
    done, total = 0, sum(len(task.names) for task in tasks)
    context = decoding_context(__name__)
    under_way = UnderWay(context, jobs)
    pool = ProcessPoolExecutor(jobs, context, _begin, (under_way,))
    workers: list[BaseProcess] = []
    try:
        with interrupts_wait():  # workers start with the first tasks
            futures = {pool.submit(_write, task, recipe): task for task in tasks}
            workers = list(pool._processes.values())
        waiting = set(futures)
        while waiting:
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ready:
                future.result()  # raises what the worker raised
                done += len(futures[future].names)
                progress(done, total)
        return [future.result() for future in futures]
    except BrokenProcessPool:
        pool.shutdown()  # the others were told to end
        raise Fault(_death(workers, under_way, recipe)) from None
    finally:
        # Nothing is waited for that would be thrown away.
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        remove_parts(tasks[0].path.parent)


def _death(workers: list[BaseProcess], under_way: UnderWay, recipe: Recipe) -> str:
    """What is told of a process that ended: how, with which picture, and what to do."""
    paths = under_way.by_process()
    # The executor ends the others with SIGTERM.
    dead = [worker for worker in workers if worker.exitcode not in (0, -signal.SIGTERM)]
    at = ', '.join(paths[worker.pid] for worker in dead or workers if worker.pid in paths)
    codes = {worker.exitcode for worker in dead}
    if codes == {-signal.SIGALRM}:
        return f'{at} was not done after {recipe.limit_s:g} seconds: mend or remove it; {AGAIN}'
    told = f'a process {" and ".join(map(describe_exit, codes)) or "was ended"}'
    if at:
        told += f', preparing {at}; if one dies there again, mend or remove it'
    return f'{told}; if the memory is short, fewer --jobs help; {AGAIN}'


def _begin(under_way: UnderWay) -> None:
    """Set a worker process up."""
    global _under_way
    begin_decoding()
    _under_way = under_way
    _under_way.begin()


def _write(task: Task, recipe: Recipe) -> Written:
    found = _existing(task)
    if found is not None and (recipe.skip or not found.skipped):
        return found

    def prepare(source: str) -> bytes:
        with _under_way.picture(source), time_limit(recipe.limit_s):
            return prepare_picture(read_file(source), source, recipe.short_side, recipe.quality)

    return write_shard(task.path, recipe.source, task.names, prepare, recipe.skip)


def _existing(task: Task) -> Written | None:
    """A shard of an earlier call, None where there is none or it is not as it was written."""
    try:
        content = read_shard(task.path)
    except (OSError, tarfile.TarError):
        return None
    kept = {os.fsdecode(name) for name in content.names}
    if task.sha256 not in (None, content.sha256) or not kept <= set(map(member_name, task.names)):
        return None
    return Written(content, [name for name in task.names if member_name(name) not in kept])
