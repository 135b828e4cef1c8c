"""Making of shards from a folder of images, in several processes, with stops and restarts."""

import hashlib
import math
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from symmim_mm.datasets.decoding_pool import LIMIT_S
from symmim_mm.datasets.folder_index import open_index
from symmim_mm.datasets.folder_scan import EXTENSIONS, FolderScan
from symmim_mm.datasets.image_table import pack_names, write_table
from symmim_mm.datasets.shards.manifest import (
    LIST,
    MANIFEST,
    Manifest,
    Options,
    Plan,
    Source,
    finished_manifest,
    read_manifest,
    shard_name,
    write_manifest,
)
from symmim_mm.datasets.shards.reader import ImageShards
from symmim_mm.datasets.shards.writer import Recipe, ShardContent, Task, write_shards
from symmim_mm.utils.errors import UserError, from_validation_error
from symmim_mm.utils.files import file_sha256, remove_parts
from symmim_mm.utils.locks import file_lock
from symmim_mm.utils.progress import progress_bar

LOCK = '.lock'


def prepare(
    source: str | os.PathLike,
    out: str | os.PathLike,
    short_side: int = 320,
    quality: int = 90,
    shard_images: int = 2048,
    seed: int = 0,
    jobs: int = 1,
    skip_unreadable: bool = False,
    limit_s: float = LIMIT_S,
) -> Manifest:
    """Write the images below a folder to shards, or continue that.

    The images are dealt to the shards at random, so that each shard is a sample of all of them.
    Finished shards stay when the work is stopped, and are read back, not made again, later.

    Args:
        source: folder of images; the folders directly in it are classes, unless an image lies
            next to them.
        out: folder of the shards: does not exist, is empty, or holds a part of the same shards.
        short_side: as of :func:`~symmim_mm.datasets.shards.image.prepare_image`.
        quality: the same.
        shard_images: images of a shard, about.
        seed: of the dealing.
        jobs: processes.
        skip_unreadable: leave out, and list, images that cannot be decoded.
        limit_s: seconds in which each image has to be done.

    Raises:
        UserError: bad options, another content of ``out``, or one below ``source``, unreadable
            images.
        OSError: a shard cannot be written.
        Fault: a process was killed, or an image took too long.
    """
    try:
        options = Options(
            short_side=short_side, quality=quality, shard_images=shard_images, seed=seed
        )
    except ValidationError as error:
        raise UserError(from_validation_error(error)) from error
    if not 1 <= jobs <= 1024:
        raise UserError(f'jobs must be 1 to 1024, got {jobs}')
    source, out = os.path.realpath(source), Path(out)
    if out.resolve().is_relative_to(source):
        raise UserError(
            f'{out} lies within {source}, where it would be a class: name another folder'
        )
    index = open_index(source, EXTENSIONS, labeled=False)
    names = [index.path(number) for number in range(len(index))]
    if not names:
        raise UserError(f'no images below {source}')
    names_sha256 = hashlib.sha256(os.fsencode('\n'.join(names))).hexdigest()
    labeled = all('/' in name for name in names)
    plan = Plan(
        options=options,
        source=Source(images=len(names), names_sha256=names_sha256),
        classes=FolderScan(source).folders() if labeled else None,
    )
    with file_lock(out / LOCK, f'another process is writing {out}: wait for it'):
        _begin(out, plan)
        with suppress(UserError):  # finished, and what a training would take as it is
            return ImageShards(out).manifest
        tasks = _tasks(out, names, options)
        recipe = Recipe(source, options, skip_unreadable, limit_s)
        with progress_bar('preparing', len(names)) as advance:
            contents = write_shards(tasks, recipe, min(jobs, len(tasks)), advance)
        shards = [content.shard for content in contents]
        manifest = Manifest(
            **dict(plan),
            images=sum(shard.images for shard in shards),
            skipped=sorted(name for content in contents for name in content.skipped),
            list_sha256=_write_list(out / LIST, contents, plan.classes),
            shards=shards,
        )
        write_manifest(out, manifest)
        return manifest


def _begin(out: Path, plan: Plan) -> None:
    """Write the manifest of unfinished shards, or compare it with the one that is there."""
    found = read_manifest(out)
    if found is None:
        ours = (LOCK, f'.{MANIFEST}.')  # the latter if the very first writing was killed
        if not all(entry.name.startswith(ours) for entry in out.iterdir()):
            raise UserError(f'{out} is not empty and holds no shards: name another folder')
        write_manifest(out, plan)
    remove_parts(out)
    for key, new in plan.model_dump().items() if found else ():
        if (old := found.get(key)) == new:
            continue
        what = f'see its {MANIFEST}'
        if isinstance(old, dict) and isinstance(new, dict):
            changed = [name for name in new if old.get(name) != new[name]]
            what = ', '.join(f'{name} {old.get(name)}, now {new[name]}' for name in changed)
        raise UserError(
            f'{out} holds shards with another {key} ({what}): remove it or name another folder'
        )


def _tasks(out: Path, names: list[str], options: Options) -> list[Task]:
    """Return the shards to write, and which images each is dealt.

    A shard that is not as it was when it was finished must not be read back, or its new hash would
    hide that: a finished dataset gives the tasks its hashes.
    """
    order = np.random.default_rng(options.seed).permutation(len(names))
    parts = np.array_split(order, math.ceil(len(names) / options.shard_images))
    hashes = {}
    with suppress(UserError):
        hashes = {shard.name: shard.sha256 for shard in finished_manifest(out).shards}
    paths = [out / shard_name(number) for number in range(len(parts))]
    return [
        Task(path, [names[index] for index in part], hashes.get(path.name))
        for path, part in zip(paths, parts, strict=True)
    ]


def _write_list(file: Path, contents: list[ShardContent], classes: list[str] | None) -> str:
    """List what shards hold, in the order of their numbers; return the SHA-256 of the list."""
    names = [name for content in contents for name in content.names]
    counts = [len(content.names) for content in contents]
    columns = pack_names(names) | dict(
        shard=np.repeat(np.arange(len(contents), dtype=np.int32), counts),
        start=np.array([start for content in contents for start in content.starts], np.int64),
        size=np.array([size for content in contents for size in content.sizes], np.int32),
    )
    if classes is not None:
        label = {name: number for number, name in enumerate(classes)}
        columns['labels'] = np.array([label[name.split('/', 1)[0]] for name in names], np.int32)
    write_table(file, {}, columns)
    return file_sha256(file)
