"""Writing of the shards of a dataset in several processes, and reading back of what they hold."""

import hashlib
import io
import os
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from symmim_mm.datasets.decoding_pool import DecodingPool, WorkersDied, decoding
from symmim_mm.datasets.shards.image import prepare_image
from symmim_mm.datasets.shards.manifest import Options, Shard
from symmim_mm.datasets.transforms.decode_region import ImageError, read_file
from symmim_mm.utils.errors import Fault, describe_exit
from symmim_mm.utils.files import remove_parts, replacing
from symmim_mm.utils.paths import open_regular

AGAIN = 'run the same command again to continue'


class ShardContent(NamedTuple):
    """What a finished shard holds: its images by their source, and where each is, in bytes.

    ``skipped``: images that were to be in it and could not be decoded.
    """

    shard: Shard
    names: list[str]
    starts: list[int]
    sizes: list[int]
    skipped: list[str]


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
        ImageError: an image cannot be read, and ``recipe.skip`` is not set.
        OSError: a shard cannot be written.
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
    """Prepare images and write them to a tar file, whole or not at all, if it is not there yet.

    The bytes of the file depend on the images and options alone.
    """
    found = _existing(task)
    if found is not None and (recipe.skip or not found.skipped):
        return found
    options = recipe.options
    with (
        replacing(task.path) as file,
        tarfile.open(fileobj=file, mode='w', format=tarfile.GNU_FORMAT) as tar,
    ):
        for name in task.names:
            path = os.path.join(recipe.source, name)
            try:
                with decoding(path, recipe.limit_s):
                    data = read_file(path)
                    data = prepare_image(data, path, options.short_side, options.quality)
            except ImageError:
                if recipe.skip:
                    continue
                raise
            entry = tarfile.TarInfo(_member_name(name))
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return _read_shard(task.path, task.names)


def _existing(task: Task) -> ShardContent | None:
    """Return a shard of an earlier call, None where there is none or it has changed since."""
    try:
        content = _read_shard(task.path, task.names)
    except (OSError, tarfile.TarError, LookupError):
        return None
    return content if task.sha256 in (None, content.shard.sha256) else None


def _member_name(name: str) -> str:
    """Return the name within a shard of what is a JPEG now, whatever it was before."""
    return name if name.lower().endswith(('.jpg', '.jpeg')) else f'{name}.jpg'


def _read_shard(path: Path, wanted: list[str]) -> ShardContent:
    """Return what a finished shard holds of the wanted images.

    Raises:
        OSError, tarfile.TarError, LookupError: it cannot be read, is no whole tar file, or holds
            other images.
    """
    with open_regular(path) as file:
        with tarfile.open(fileobj=file, mode='r:') as tar:
            entries = tar.getmembers()
        file.seek(0)
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
        size = os.fstat(file.fileno()).st_size
    sources = {_member_name(name): name for name in wanted}
    names = [sources[entry.name] for entry in entries]
    return ShardContent(
        shard=Shard(name=path.name, images=len(names), bytes=size, sha256=digest),
        names=names,
        starts=[entry.offset_data for entry in entries],
        sizes=[entry.size for entry in entries],
        skipped=sorted({*wanted}.difference(names)),
    )
