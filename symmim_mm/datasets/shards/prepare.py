"""Make a prepared set of a folder of pictures, in several processes, with stops and restarts."""

import fcntl
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from symmim_mm.datasets.decoding_processes import LIMIT_S
from symmim_mm.datasets.folder_index import open_index
from symmim_mm.datasets.shards.image_list import write_list
from symmim_mm.datasets.shards.manifest import (
    FORMAT,
    MANIFEST,
    Shard,
    finished_manifest,
    read_manifest,
)
from symmim_mm.datasets.shards.pool import AGAIN, Recipe, Task, write_shards
from symmim_mm.datasets.shards.reader import PreparedSet
from symmim_mm.datasets.shards.writer import Written, shard_name
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import remove_parts, write_atomic

# Those of MMPretrain's CustomDataset, and .webp.
EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.webp')


def prepare(
    source: str | os.PathLike,
    out: str | os.PathLike,
    short_side: int = 320,
    quality: int = 90,
    shard_pictures: int = 2048,
    seed: int = 0,
    jobs: int = 1,
    skip_unreadable: bool = False,
    limit_s: float = LIMIT_S,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict:
    """Write the pictures below a folder to a prepared set, or go on with one.

    The pictures are dealt to the shards at random, so that each shard is a sample of all of them.
    Finished shards stay when the work is stopped, and are read back, not made again, later.

    Args:
        source: folder of pictures; the folders directly in it are classes, unless a picture is
            beside them.
        out: folder of the set: does not exist, is empty, or holds a part of the same set.
        short_side, quality: as :func:`~symmim_mm.datasets.shards.image.prepare_picture`.
        shard_pictures: pictures of a shard, about.
        seed: of the dealing.
        jobs: processes.
        skip_unreadable: leave out, and list, pictures that cannot be decoded.
        limit_s: seconds in which each picture has to be done.
        progress: is called with the numbers of pictures that are done, and of all.

    Returns:
        The manifest.

    Raises:
        UserError: bad options, another content of ``out``, unreadable pictures, a full disk.
        Fault: a process was killed, or a picture took too long.
    """
    _check(short_side, quality, shard_pictures, seed, jobs)
    source, out = os.path.realpath(source), Path(out)
    index = open_index(source, EXTENSIONS, labelled=False)
    names = [index.path(place) for place in range(len(index))]
    if not names:
        raise UserError(f'no pictures below {source}')
    plan = dict(
        options=dict(
            short_side=short_side, quality=quality, shard_pictures=shard_pictures, seed=seed
        ),
        source=dict(
            pictures=len(names), names_sha256=hashlib.sha256('\n'.join(names).encode(
                errors='surrogateescape')).hexdigest(),
        ),
        classes=_classes(source, names),
    )  # fmt: skip
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _alone(out):
            found = _begin(out, plan)
            if found is not None and _whole(out):
                return found
            tasks = _tasks(out, names, shard_pictures, seed)
            recipe = Recipe(source, short_side, quality, skip_unreadable, limit_s)
            written = write_shards(tasks, recipe, min(jobs, len(tasks)), progress)
            return _finish(out, plan, written)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f'cannot write {out}: {reason}; after mending it, {AGAIN}') from error


def _check(short_side: int, quality: int, shard_pictures: int, seed: int, jobs: int) -> None:
    for name, value, least, most in (
        ('the short side', short_side, 32, 4096),
        ('the quality', quality, 1, 100),
        ('pictures of a shard', shard_pictures, 1, 10**6),
        ('the seed', seed, 0, 2**63),
        ('jobs', jobs, 1, 1024),
    ):
        if not least <= value <= most:
            raise UserError(f'{name} must be {least} to {most}, got {value}')


def _classes(source: str, names: list[str]) -> list[str] | None:
    """Folders directly in the source, None where pictures lie beside them."""
    if any('/' not in name for name in names):
        return None
    with os.scandir(source) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())


def _begin(out: Path, plan: dict) -> dict | None:
    """Write the manifest of an unfinished set, or return the one that is there."""
    found = read_manifest(out)
    if found is None:
        ours = ('.lock', f'.{MANIFEST}.')  # the latter if the very first writing was killed
        if not all(entry.name.startswith(ours) for entry in out.iterdir()):
            raise UserError(f'{out} is not empty and holds no prepared set: name another folder')
        _write_manifest(out, dict(plan, complete=False))
    remove_parts(out)
    if found is None:
        return None
    # As JSON gives it back: tuples are lists there.
    for key, value in json.loads(json.dumps(plan)).items():
        if found.get(key) != value:
            raise UserError(
                f'{out} holds a set with another {key} ({_difference(found.get(key), value)}): '
                'remove it or name another folder'
            )
    return found


def _whole(out: Path) -> bool:
    """Whether a training would take the set as it is, with a hash of the list to check it by."""
    try:
        return PreparedSet(out).manifest.list_sha256 is not None
    except UserError:
        return False


def _tasks(out: Path, names: list[str], shard_pictures: int, seed: int) -> list[Task]:
    """The shards, and which pictures each is dealt."""
    deal = np.random.default_rng(seed).permutation(len(names))
    parts = np.array_split(deal, math.ceil(len(names) / shard_pictures))
    hashes = _hashes(out)
    return [
        Task(out / shard_name(number), [names[place] for place in part], hashes.get(number))
        for number, part in enumerate(parts)
    ]


def _hashes(out: Path) -> dict[int, str]:
    """SHA-256 of the shards of a set that was finished once, by number; none of another one.

    A shard that is not as it was then must not be read back, or its new hash would hide it.
    """
    try:
        shards = finished_manifest(out).shards
    except UserError:
        return {}
    return {number: shard.sha256 for number, shard in enumerate(shards)}


def _difference(old: object, new: object) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in new if old.get(key) != new[key]]
        return ', '.join(f'{key} {old.get(key)}, now {new[key]}' for key in keys)
    return 'see its manifest.json'


def _write_manifest(out: Path, manifest: dict) -> None:
    text = json.dumps(dict(prepared_pictures=FORMAT, **manifest), indent=1)
    write_atomic(out / MANIFEST, text)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    lock = os.open(out / '.lock', os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f'another process is writing {out}: wait for it') from None
        yield
    finally:
        os.close(lock)


def _finish(out: Path, plan: dict, written: list[Written]) -> dict:
    """Write the list of the pictures, and the manifest of a finished set."""
    contents = [part.content for part in written]
    list_sha256 = write_list(out, contents, plan['classes'])
    shards = [
        Shard(shard_name(number), len(content.names), content.bytes, content.sha256)._asdict()
        for number, content in enumerate(contents)
    ]
    manifest = dict(
        plan,
        complete=True,
        pictures=sum(shard['pictures'] for shard in shards),
        skipped=sorted(name for part in written for name in part.skipped),
        list_sha256=list_sha256,
        shards=shards,
    )
    _write_manifest(out, manifest)
    return manifest


def prepare_with_progress(source: str, show: bool, **options: Any) -> dict:
    """As :func:`prepare`, with a progress bar on stderr if ``show``."""
    if not show:
        return prepare(source, **options)
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task('preparing pictures', total=None)
        return prepare(
            source,
            **options,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
