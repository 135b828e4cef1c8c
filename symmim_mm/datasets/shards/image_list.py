"""The list of a dataset in shards: of every image name, shard, position in it and maybe label."""

from pathlib import Path

import numpy as np

from symmim_mm.datasets.image_table import Columns, check_table, pack_names, read_table, write_table
from symmim_mm.datasets.shards.manifest import FIX, MANIFEST, Manifest
from symmim_mm.datasets.shards.writer import ShardContent
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256

LIST = 'images.safetensors'
POSITIONS = dict(shard=np.int32, start=np.int64, size=np.int32)


def write_list(folder: Path, contents: list[ShardContent], classes: list[str] | None) -> str:
    """List what shards hold, in the order of their numbers; return the SHA-256 of the list.

    Names are those of the sources. ``classes`` are their first folders, None to write no labels.
    """
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
    write_table(folder / LIST, {}, columns)
    return file_sha256(folder / LIST)


def read_list(folder: Path, manifest: Manifest) -> Columns:
    """Return the columns of a list, one row an image, in the order of the shards.

    Those of an image table, and ``shard``, ``start`` and ``size``, integers ``(N,)``, the latter
    two in bytes.

    Raises:
        UserError: it cannot be read, is damaged, or is not the list of this dataset.
    """
    path = folder / LIST
    try:
        _, columns = read_table(path)
        sha256 = file_sha256(path)
    except (OSError, ValueError) as error:
        raise UserError(f'{error}: {FIX}') from error
    if sha256 != manifest.list_sha256:
        raise UserError(f'{path} is not the list that {MANIFEST} has the SHA-256 of: {FIX}')
    # Also of a list that is as it was written: the manifest may be another one.
    try:
        check_table(columns, manifest.classes, **POSITIONS)
        _check_positions(columns, manifest)
    except ValueError as error:
        raise UserError(f'{path} does not fit {MANIFEST}: {error}: {FIX}') from error
    return columns


def _check_positions(columns: Columns, manifest: Manifest) -> None:
    shard, start, size = (columns[name] for name in POSITIONS)
    counts = [part.images for part in manifest.shards]
    if not np.array_equal(shard, np.repeat(np.arange(len(counts)), counts)):
        raise ValueError('its shards have other numbers of images')
    ends = np.repeat(np.array([part.bytes for part in manifest.shards], np.int64), counts)
    # No sum of the two, which could overflow.
    if not ((start >= 0) & (size > 0) & (start <= ends - size)).all():
        raise ValueError('its positions are out of range')
