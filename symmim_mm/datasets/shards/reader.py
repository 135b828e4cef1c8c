"""A prepared set of pictures: tar files read by place, a list of what they hold, a manifest.

``OUT/shard-00000.tar``, ... are plain tar archives that other tools read as well. ``OUT/pictures``
(:mod:`array_file`) says where in them each picture is; ``OUT/manifest.json`` has
options, classes, counts and hashes, and says whether the set is complete.
"""

import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from symmim_mm.datasets.packed_strings import name_at
from symmim_mm.datasets.shards.image_list import read_list
from symmim_mm.datasets.shards.manifest import Manifest, finished_manifest
from symmim_mm.datasets.transforms.decode_region import PictureError
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256

OPEN_FILES = 64  # of a process, far below the usual limit of 1024


class PreparedSet:
    """Pictures of a prepared set, in the order in which they lie in the shards.

    Args:
        folder: of the set.

    Raises:
        UserError: there is no set, or it is incomplete, damaged or of another format.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.manifest = finished_manifest(folder)
        self.classes = self.manifest.classes
        self._check_sizes()
        columns = read_list(self.folder, self.manifest)
        self.text, self.ends = columns['text'], columns['ends']
        self.labels: np.ndarray | None = columns.get('labels')
        self.shard, self.start, self.size = columns['shard'], columns['start'], columns['size']
        self.files: OrderedDict[int, int] = OrderedDict()

    def _check_sizes(self) -> None:
        for shard in self.manifest.shards:
            path = self.folder / shard.name
            try:
                status = path.stat()
            except OSError as error:
                raise UserError(f'{path} is missing: copy it again ({error.strerror})') from error
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f'{path} is not a file: copy it again')
            if status.st_size != shard.bytes:
                raise UserError(
                    f'{path} has {status.st_size} bytes instead of {shard.bytes}: copy it again'
                )

    def __len__(self) -> int:
        return len(self.ends)

    def __deepcopy__(self, memo: dict) -> 'PreparedSet':
        return self

    def __reduce__(self) -> tuple[Callable, tuple]:
        return PreparedSet, (self.folder,)

    @property
    def shard_sizes(self) -> np.ndarray:
        """Number of pictures in every shard, int64 ``(shards,)``."""
        return np.array([shard.pictures for shard in self.manifest.shards], np.int64)

    def path(self, index: int) -> str:
        """Shard and name of a picture; for messages, no file has this path."""
        shard = self.manifest.shards[self.shard[index]].name
        return f'{shard}/{name_at(self.text, self.ends, index)}'

    def read(self, index: int) -> bytes:
        """The encoded picture.

        Raises:
            PictureError: it cannot be read.
        """
        start, size = int(self.start[index]), int(self.size[index])
        try:
            data = os.pread(self._file(int(self.shard[index])), size, start)
        except OSError as error:
            place = self.folder / self.path(index)
            raise PictureError(f'cannot read {place}: {error.strerror}') from error
        if len(data) != size:
            raise PictureError(f'{self.folder / self.path(index)} ends too early: copy it again')
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
        for file in getattr(self, 'files', {}).values():
            os.close(file)


def verify(folder: str | os.PathLike) -> Manifest:
    """Compare the list and every shard of a prepared set with their hashes.

    Returns:
        The manifest; if it has no ``list_sha256``, the list is known to fit the shards, no more.

    Raises:
        UserError: a file is missing, cannot be read, or is not as it was written.
    """
    prepared = PreparedSet(folder)
    for shard in prepared.manifest.shards:
        path = prepared.folder / shard.name
        try:
            found = file_sha256(path)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f'{path} cannot be read ({reason}): copy it again') from error
        if found != shard.sha256:
            raise UserError(f'{path} is damaged: copy it again, or remove it and prepare again')
    return prepared.manifest
