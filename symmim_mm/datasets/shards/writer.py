"""Writing of one shard, and reading back of what it holds."""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.utils.files import replacing
from symmim_mm.utils.paths import open_regular

JPEG_SUFFIXES = ('.jpg', '.jpeg')


class ShardContent(NamedTuple):
    """What a finished shard holds: names of its images, and where each of them is, in bytes.

    ``skipped``: images that were to be in it and could not be decoded.
    """

    names: list[str]
    starts: list[int]
    sizes: list[int]
    bytes: int
    sha256: str
    skipped: list[str]


def member_name(name: str) -> str:
    """Return the name within a shard of what is a JPEG now, whatever it was before."""
    stem, suffix = os.path.splitext(name)
    return name if suffix.lower() in JPEG_SUFFIXES else f'{stem}.jpg'


def write_shard(
    path: Path, root: str, names: list[str], prepare: Callable[[str], bytes], skip: bool
) -> ShardContent:
    """Prepare images and write them to a tar file, whole or not at all.

    The bytes of the file depend on the images and options alone. ``names`` are paths from ``root``,
    ``prepare`` is given them with it; ``skip`` leaves out what cannot be decoded.

    Raises:
        ImageError: an image cannot be read.
        OSError: the shard cannot be written.
    """
    with (
        replacing(path) as file,
        tarfile.open(fileobj=file, mode='w', format=tarfile.GNU_FORMAT) as tar,
    ):
        for name in names:
            try:
                data = prepare(os.path.join(root, name))
            except ImageError:
                if skip:
                    continue
                raise
            entry = tarfile.TarInfo(member_name(name))
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return read_shard(path, names)


def read_shard(path: Path, wanted: Iterable[str] = ()) -> ShardContent:
    """Return what a finished shard holds, and which of the wanted images it lacks.

    Raises:
        OSError, tarfile.TarError: it cannot be read, or is no whole tar file.
    """
    with open_regular(path) as file:
        with tarfile.open(fileobj=file, mode='r:') as tar:
            entries = tar.getmembers()
        file.seek(0)
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
        size = os.fstat(file.fileno()).st_size
    names = [entry.name for entry in entries]
    present = set(names)
    return ShardContent(
        names=names,
        starts=[entry.offset_data for entry in entries],
        sizes=[entry.size for entry in entries],
        bytes=size,
        sha256=digest,
        skipped=[name for name in wanted if member_name(name) not in present],
    )
