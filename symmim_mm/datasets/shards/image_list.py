"""The list of a prepared set: of every picture, name, shard, place in it and maybe class."""

import os
from pathlib import Path

import numpy as np

from symmim_mm.datasets.array_file import check_columns, read_arrays, write_arrays
from symmim_mm.datasets.packed_strings import are_packed, pack_names
from symmim_mm.datasets.shards.manifest import MANIFEST, MEND, Manifest
from symmim_mm.datasets.shards.writer import ShardContent
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256

LIST = 'pictures'
COLUMNS = dict(text=np.uint8, ends=np.int64, shard=np.int32, start=np.int64, size=np.int32)
LABELS = dict(labels=np.int32)  # of pictures with classes


def write_list(folder: Path, contents: list[ShardContent], classes: list[str] | None) -> str:
    """List what the shards of a set hold.

    Args:
        folder: of the set.
        contents: of the shards, in the order of their numbers.
        classes: the first folders of the names, None to write no labels.

    Returns:
        The SHA-256 of the list.

    Raises:
        OSError: the list cannot be written.
    """
    names = [name for content in contents for name in content.names]
    text, ends = pack_names(names)
    counts = [len(content.names) for content in contents]
    arrays = dict(
        text=text,
        ends=ends,
        shard=np.repeat(np.arange(len(contents), dtype=np.int32), counts),
        start=np.array([start for content in contents for start in content.starts], np.int64),
        size=np.array([size for content in contents for size in content.sizes], np.int32),
    )
    if classes is not None:
        label = {os.fsencode(name): number for number, name in enumerate(classes)}
        arrays['labels'] = np.array([label[name.split(b'/', 1)[0]] for name in names], np.int32)
    write_arrays(folder / LIST, {}, arrays)
    return file_sha256(folder / LIST)


def read_list(folder: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    """The columns of a set's list, one row a picture, in the order of the shards.

    ``text`` and ``ends`` are the names (:mod:`packed_strings`); ``shard``, ``start`` and
    ``size`` int ``(N,)``, the latter two in bytes; ``labels`` int32 ``(N,)`` if there are classes.

    Raises:
        UserError: it cannot be read, is damaged, or is not the list of this set.
    """
    path = folder / LIST
    try:
        _, arrays = read_arrays(path)
        sha256 = file_sha256(path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f'{path} cannot be read ({reason}): {MEND}') from error
    except ValueError as error:
        raise UserError(f'{error}: {MEND}') from error
    if manifest.list_sha256 not in (None, sha256):
        raise UserError(f'{path} is not the list that {MANIFEST} has the SHA-256 of: {MEND}')
    # Also of a list that is as it was written: the manifest may be another one.
    try:
        _check_rows(arrays, manifest)
    except ValueError as error:
        raise UserError(f'{path} does not fit {MANIFEST}: {error}: {MEND}') from error
    return arrays


def _check_rows(arrays: dict[str, np.ndarray], manifest: Manifest) -> None:
    labelled = manifest.classes is not None
    check_columns(arrays, COLUMNS | (LABELS if labelled else {}))
    lengths = {len(column) for name, column in arrays.items() if name != 'text'}
    if lengths != {manifest.pictures}:
        found = ' or '.join(map(str, sorted(lengths)))
        raise ValueError(f'it has {found} pictures instead of {manifest.pictures}')
    counts = [shard.pictures for shard in manifest.shards]
    sizes = np.array([shard.bytes for shard in manifest.shards], np.int64)
    start, size = arrays['start'], arrays['size']
    fits = dict(
        names=are_packed(arrays['text'], arrays['ends']),
        shards=np.array_equal(arrays['shard'], np.repeat(np.arange(len(counts)), counts)),
        # No sum of the two, which could overflow.
        places=((start >= 0) & (size > 0) & (start <= np.repeat(sizes, counts) - size)).all(),
    )
    if labelled:
        labels = arrays['labels']
        fits['labels'] = ((labels >= 0) & (labels < len(manifest.classes))).all()
    if wrong := [name for name, fit in fits.items() if not fit]:
        raise ValueError(f'its {" and ".join(wrong)} are out of range')
