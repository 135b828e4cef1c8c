"""A prepared set of pictures: tar files read by place, a list of what they hold, a manifest.

``OUT/shard-00000.tar``, ... are plain tar archives that other tools read as well. ``OUT/pictures``
(:mod:`~symmim_mm.data.array_file`) says where in them each picture is; ``OUT/manifest.json`` has
options, classes, counts and hashes, and says whether the set is complete.
"""

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from symmim_mm.data.array_file import read_arrays
from symmim_mm.data.names import name_at
from symmim_mm.data.picture_region import PictureError
from symmim_mm.errors import UserError

FORMAT = 1
MANIFEST = 'manifest.json'
LIST = 'pictures'
SHARD = dict(name=str, pictures=int, bytes=int, sha256=str)  # what a manifest says of each
OPEN_FILES = 64  # of a process, far below the usual limit of 1024


def is_prepared(folder: str | os.PathLike) -> bool:
    """Whether a folder holds a prepared set, maybe an unfinished one."""
    manifest = read_manifest(folder)
    return manifest is not None


def read_manifest(folder: str | os.PathLike) -> dict | None:
    """The manifest of a prepared set, None where there is none."""
    try:
        manifest = json.loads(Path(folder, MANIFEST).read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return manifest if isinstance(manifest, dict) and 'prepared_pictures' in manifest else None


class PreparedSet:
    """Pictures of a prepared set, in the order in which they lie in the shards.

    Args:
        folder: of the set.

    Raises:
        UserError: there is no set, or it is incomplete, damaged or of another format.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        manifest = read_manifest(folder)
        if manifest is None:
            raise UserError(f'{folder} holds no prepared pictures: see tools/prepare_dataset.py')
        if manifest['prepared_pictures'] != FORMAT:
            raise UserError(
                f'{folder} was prepared in format {manifest["prepared_pictures"]}, this is '
                f'{FORMAT}: prepare it again'
            )
        if not manifest.get('complete'):
            raise UserError(
                f'{folder} is not prepared to the end: call tools/prepare_dataset.py with the '
                'same options again'
            )
        try:
            self.shards = [
                {key: kind(one[key]) for key, kind in SHARD.items()} for one in manifest['shards']
            ]
            self.classes: list[str] | None = manifest['classes']
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f'{self.folder / MANIFEST} is damaged: copy it again, or prepare again'
            ) from error
        self._check_sizes()
        try:
            _, arrays = read_arrays(self.folder / LIST)
        except (OSError, ValueError) as error:
            raise UserError(f'{self.folder / LIST} is damaged ({error}): prepare again') from error
        self.text, self.ends = arrays['text'], arrays['ends']
        self.labels: np.ndarray | None = arrays.get('labels')
        self.shard, self.start, self.size = arrays['shard'], arrays['start'], arrays['size']
        self.files: OrderedDict[int, int] = OrderedDict()

    def _check_sizes(self) -> None:
        for shard in self.shards:
            path = self.folder / shard['name']
            try:
                size = path.stat().st_size
            except OSError as error:
                raise UserError(f'{path} is missing: copy it again ({error.strerror})') from error
            if size != shard['bytes']:
                raise UserError(
                    f'{path} has {size} bytes instead of {shard["bytes"]}: copy it again'
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
        return np.array([shard['pictures'] for shard in self.shards], np.int64)

    def path(self, index: int) -> str:
        """Shard and name of a picture; for messages, no file has this path."""
        shard = self.shards[self.shard[index]]['name']
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
        file = os.open(self.folder / self.shards[shard]['name'], os.O_RDONLY | os.O_CLOEXEC)
        # Shards are taken one window after the other: fetch all of it, in sequence, ahead.
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
        self.files[shard] = file
        if len(self.files) > OPEN_FILES:
            os.close(self.files.popitem(last=False)[1])
        return file

    def __del__(self) -> None:
        for file in getattr(self, 'files', {}).values():
            os.close(file)


def verify(folder: str | os.PathLike) -> tuple[int, int]:
    """Compare every shard of a prepared set with its hash.

    Returns:
        Numbers of shards and of pictures.

    Raises:
        UserError: a shard is missing, or not as it was written.
    """
    prepared = PreparedSet(folder)
    for shard in prepared.shards:
        path = prepared.folder / shard['name']
        with open(path, 'rb') as file:
            found = hashlib.file_digest(file, 'sha256').hexdigest()
        if found != shard['sha256']:
            raise UserError(f'{path} is damaged: copy it again, or remove it and prepare again')
    return len(prepared.shards), len(prepared)
