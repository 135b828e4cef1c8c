"""Reading of images from the shards of a dataset, by position.

``OUT/shard-00000.tar``, ... are plain tar archives that other tools read as well.
``OUT/images.safetensors`` says where in them each image is;
``OUT/manifest.json`` has options, classes, counts and hashes, and says whether the dataset is
complete.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from symmim_mm.datasets.image_table import ImageTable, read_table
from symmim_mm.datasets.shards.manifest import FIX, LIST, MANIFEST, Manifest, finished_manifest
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256

OPEN_FILES = 64  # of a process, far below the usual limit of 1024


class ImageShards(ImageTable):
    """The images of a dataset in shards, in the order in which they lie there.

    Columns: those of a table, and ``shard``, ``start`` and ``size``, the latter two in bytes.

    Raises:
        UserError: there is none, or it is incomplete, damaged or of another format.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.manifest = finished_manifest(folder)
        self.files: OrderedDict[int, int] = OrderedDict()
        for shard in self.manifest.shards:
            path = self.folder / shard.name
            if not path.is_file():
                raise UserError(f'{path} is missing or no file: copy it again')
            if (size := path.stat().st_size) != shard.bytes:
                raise UserError(f'{path} has {size} bytes instead of {shard.bytes}: copy it again')
        path = self.folder / LIST
        try:
            _, columns = read_table(path)
            sha256 = file_sha256(path)
        except (OSError, ValueError) as error:
            raise UserError(f'{error}: {FIX}') from error
        if sha256 != self.manifest.list_sha256:
            raise UserError(f'{path} is not the list that {MANIFEST} has the SHA-256 of: {FIX}')
        super().__init__(columns, self.manifest.classes)

    def __reduce__(self) -> tuple[Callable, tuple]:
        return ImageShards, (self.folder,)

    @property
    def shard_sizes(self) -> np.ndarray:
        """Number of images in every shard, int64 ``(shards,)``."""
        return np.array([shard.images for shard in self.manifest.shards], np.int64)

    def path(self, index: int) -> str:
        """Return the shard and the source of an image; for messages, no file has this path."""
        shard = self.manifest.shards[self.columns['shard'][index]].name
        return f'{shard}/{super().path(index)}'

    def read(self, index: int) -> bytes:
        """Return the encoded image, or raise ImageError."""
        shard, start, size = (int(self.columns[key][index]) for key in ('shard', 'start', 'size'))
        try:
            data = os.pread(self._file(shard), size, start)
        except OSError as error:
            path = self.folder / self.path(index)
            raise ImageError(f'cannot read {path}: {error.strerror}') from error
        if len(data) != size:
            raise ImageError(f'{self.folder / self.path(index)} ends too early: copy it again')
        return data

    def _file(self, shard: int) -> int:
        if shard in self.files:
            self.files.move_to_end(shard)
            return self.files[shard]
        file = os.open(self.folder / self.manifest.shards[shard].name, os.O_RDONLY | os.O_CLOEXEC)
        # Shards are taken one window after the other: fetch all of it, in sequence, ahead.
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
        self.files[shard] = file
        if len(self.files) > OPEN_FILES:
            os.close(self.files.popitem(last=False)[1])
        return file

    def __del__(self) -> None:
        for file in getattr(self, 'files', {}).values():  # none where the manifest was refused
            os.close(file)


def verify(folder: str | os.PathLike) -> Manifest:
    """Compare the list and every shard of a dataset with their hashes; return the manifest.

    Raises:
        UserError: a file is missing, or is not as it was written.
        OSError: a shard cannot be read.
    """
    shards = ImageShards(folder)  # compares the list
    for shard in shards.manifest.shards:
        path = shards.folder / shard.name
        if file_sha256(path) != shard.sha256:
            raise UserError(f'{path} is damaged: copy it again, or remove it and prepare again')
    return shards.manifest
