"""Processes that write the shards of a dataset."""

import signal
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from symmim_mm.datasets.decoding_pool import DecodingPool, WorkersDied, decoding
from symmim_mm.datasets.shards.image import prepare_image
from symmim_mm.datasets.shards.manifest import Options
from symmim_mm.datasets.shards.writer import ShardContent, member_name, read_shard, write_shard
from symmim_mm.datasets.transforms.decode_region import read_file
from symmim_mm.utils.errors import Fault, describe_exit
from symmim_mm.utils.files import remove_parts

AGAIN = 'run the same command again to continue'


class Recipe(NamedTuple):
    """How images of the folder ``source`` are prepared.

    ``skip``: leave out an unreadable image, which else is an error. ``limit_s``: seconds after
    which an image that is not done ends its process.
    """

    source: str
    options: Options
    skip: bool
    limit_s: float


class Task(NamedTuple):
    """A shard to write: its path, the names of its images, its SHA-256 if it was written once."""

    path: Path
    names: list[str]
    sha256: str | None


def write_shards(
    tasks: list[Task], recipe: Recipe, jobs: int, advance: Callable[[int], None]
) -> list[ShardContent]:
    """Write the shards, all in one folder, that are not there yet, and return what each holds.

    ``advance`` is called with the number of images of each finished shard.

    Raises:
        ImageError, OSError: as :func:`~symmim_mm.datasets.shards.writer.write_shard`.
        Fault: a process was killed, or an image took too long.
    """
    written = {}
    try:
        with DecodingPool(jobs, __name__) as pool:
            for task, result in pool.run(_write, tasks, recipe):
                written[task.path] = result
                advance(len(task.names))
    except WorkersDied as death:
        raise Fault(_message(death, recipe)) from None
    finally:
        remove_parts(tasks[0].path.parent)
    return [written[task.path] for task in tasks]


def _message(death: WorkersDied, recipe: Recipe) -> str:
    paths = ', '.join(death.paths)
    if death.exit_codes == {-signal.SIGALRM}:
        return f'{paths} was not done after {recipe.limit_s:g} seconds: fix or remove it; {AGAIN}'
    message = f'a process {" and ".join(map(describe_exit, death.exit_codes)) or "was ended"}'
    if paths:
        message += f' while preparing {paths}; if that happens again, fix or remove it'
    return f'{message}; if memory is short, use fewer --jobs; {AGAIN}'


def _write(task: Task, recipe: Recipe) -> ShardContent:
    found = _existing(task)
    if found is not None and (recipe.skip or not found.skipped):
        return found

    def prepare(path: str) -> bytes:
        with decoding(path, recipe.limit_s):
            options = recipe.options
            return prepare_image(read_file(path), path, options.short_side, options.quality)

    return write_shard(task.path, recipe.source, task.names, prepare, recipe.skip)


def _existing(task: Task) -> ShardContent | None:
    """Return a shard of an earlier call, None where there is none or it has changed since."""
    try:
        content = read_shard(task.path, task.names)
    except (OSError, tarfile.TarError):
        return None
    known = set(content.names) <= set(map(member_name, task.names))
    return content if known and task.sha256 in (None, content.sha256) else None
