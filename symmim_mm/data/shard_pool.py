"""Several processes that write the shards of a prepared set."""

import os
import tarfile
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import NamedTuple

from symmim_mm.atomic_file import remove_parts
from symmim_mm.data.shard_writer import Written, member_name, read_shard, shard_name, write_shard
from symmim_mm.errors import Fault
from symmim_mm.interrupts import interrupts_wait

AGAIN = 'call the same command again to go on'


class Recipe(NamedTuple):
    """What is done to each picture, and what where one is unreadable: skip it, or stop."""

    source: str
    short_side: int
    quality: int
    skip: bool


def write_shards(
    out: Path,
    shards: list[list[str]],
    recipe: Recipe,
    jobs: int,
    progress: Callable[[int, int], None],
) -> list[Written]:
    """Write the shards that are not there yet.

    Args:
        out: folder of the set.
        shards: names of the pictures of each.
        jobs: processes; with one, this process does it.
        progress: is called with the numbers of pictures that are done, and of all.

    Raises:
        PictureError, OSError: as :func:`~symmim_mm.data.shard_writer.write_shard`.
        Fault: a worker was killed.
    """
    tasks = [(out / shard_name(number), names) for number, names in enumerate(shards)]
    done, total = 0, sum(map(len, shards))

    def report(names: list[str]) -> None:
        nonlocal done
        done += len(names)
        progress(done, total)

    if jobs > 1:
        return _in_processes(out, tasks, recipe, min(jobs, len(tasks)), report)
    written = []
    for path, names in tasks:
        written.append(_write(path, names, recipe))
        report(names)
    return written


def _write(path: Path, names: list[str], recipe: Recipe) -> Written:
    found = _existing(path, names)
    if found is not None and (recipe.skip or not found.skipped):
        return found
    return write_shard(
        path, recipe.source, names, recipe.short_side, recipe.quality, recipe.skip
    )


def _existing(path: Path, names: list[str]) -> Written | None:
    """A shard of an earlier call, None where there is none or it is not whole."""
    try:
        content = read_shard(path)
    except (OSError, tarfile.TarError):
        return None
    kept = {os.fsdecode(name) for name in content.names}
    return Written(content, [name for name in names if member_name(name) not in kept])


def _in_processes(
    out: Path,
    tasks: list[tuple[Path, list[str]]],
    recipe: Recipe,
    jobs: int,
    report: Callable[[list[str]], None],
) -> list[Written]:
    pool = ProcessPoolExecutor(jobs, get_context('spawn'), _start_worker)
    try:
        with interrupts_wait():  # workers start with the first task
            futures = {pool.submit(_write, *task, recipe): task for task in tasks}
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()  # raises what the worker raised
                report(futures[future][1])
        return [future.result() for future in futures]
    except BrokenProcessPool:
        raise Fault(f'a worker process was killed, for want of memory perhaps: {AGAIN}') from None
    finally:
        # Nothing is waited for that would be thrown away.
        workers = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        remove_parts(out)


def _start_worker() -> None:
    """Let a worker end with the main process, however that ends."""
    parent = parent_process()

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
