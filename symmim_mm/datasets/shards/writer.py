"""Writing of one shard, and reading back of what it holds."""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.utils.files import replacing
from symmim_mm.utils.paths import open_regular

JPEG_SUFFIXES = ('.jpg', '.jpeg')


class ShardContent(NamedTuple):
    """What a finished shard holds: names of its images, and where each of them is, in bytes."""

    names: list[str]
    starts: list[int]
    sizes: list[int]
    bytes: int
    sha256: str


class Written(NamedTuple):
    """A shard that was written: its content, and the images that were left out."""

    content: ShardContent
    skipped: list[str]


def member_name(name: str) -> str:
    """Return the name within a shard of what is a JPEG now, whatever it was before."""
    stem, suffix = os.path.splitext(name)
    return name if suffix.lower() in JPEG_SUFFIXES else f'{stem}.jpg'


def write_shard(
    path: Path, root: str, names: list[str], prepare: Callable[[str], bytes], skip: bool
) -> Written:
    """Prepare images and write them to a tar file, whole or not at all.

    The bytes of the file depend on the images and options alone.

    Args:
        path: of the shard.
        root: folder of the images.
        names: their paths from it.
        prepare: what is written of an image, given its path.
        skip: leave out what cannot be decoded, where else it is an error.

    Raises:
        ImageError: an image cannot be read.
        OSError: the shard cannot be written.
    """
    skipped = []
    with (
        replacing(path) as file,
        tarfile.open(fileobj=file, mode='w', format=tarfile.GNU_FORMAT) as tar,
    ):
        for name in names:
            try:
                data = prepare(os.path.join(root, name))
            except ImageError:
                if not skip:
                    raise
                skipped.append(name)
                continue
            entry = tarfile.TarInfo(member_name(name))
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return Written(read_shard(path), skipped)


def read_shard(path: Path) -> ShardContent:
    """Return what a finished shard holds.

    Raises:
        OSError, tarfile.TarError: it cannot be read, or is no whole tar file.
    """
    names, starts, sizes = [], [], []
    with open_regular(path) as file:
        with tarfile.open(fileobj=file, mode='r:') as tar:
            for entry in tar:
                names.append(entry.name)
                starts.append(entry.offset_data)
                sizes.append(entry.size)
        file.seek(0)
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
        return ShardContent(names, starts, sizes, os.fstat(file.fileno()).st_size, digest)
