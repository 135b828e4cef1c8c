"""Find the pictures below a folder, as MMPretrain's ``CustomDataset`` finds and orders them."""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from symmim_mm.datasets.packed_strings import pack_names
from symmim_mm.utils.errors import UserError

# A folder that changes again within this time of a change may keep its time stamp.
STAMP_NANOSECONDS = 2 * 10**9
UNKNOWN = -1


class Folder(NamedTuple):
    """A folder seen by a scan: path from the root, and the time of its last change."""

    name: bytes
    changed: int


class Scan:
    """One walk through a tree of folders. Links are followed.

    Args:
        root: where the walk starts.
        extensions: of the pictures, in lower case.
        report: is called now and then with the numbers of pictures and folders so far.

    Raises:
        UserError: a folder cannot be read, or links make a circle.
    """

    def __init__(
        self, root: str, extensions: tuple[str, ...], report: Callable[[int, int], None]
    ) -> None:
        self.root = os.fsencode(root)
        self.extensions = tuple(os.fsencode(extension) for extension in extensions)
        self.report = report
        self.folders: list[Folder] = []
        self.found = 0
        self.started = time.time_ns()

    def unlabelled(self) -> dict[str, np.ndarray]:
        """All pictures, ordered by path: arrays ``text``, ``ends``."""
        names = []
        self._walk(b'', names, ())
        names.sort()
        return dict(zip(('text', 'ends'), pack_names(names), strict=True))

    def labelled(self) -> tuple[list[str], dict[str, np.ndarray]]:
        """Pictures in the folders of their classes, by class, then by path.

        Returns:
            The classes, which are the folders directly below the root, in order, and arrays
            ``text``, ``ends`` and ``labels`` (int32).
        """
        _, folders = self._list(b'')
        classes = sorted(folders)
        names, counts = [], []
        for name in classes:
            of_class = []
            self._walk(name, of_class, ())
            of_class.sort()
            names += of_class
            counts.append(len(of_class))
        text, ends = pack_names(names)
        labels = np.repeat(np.arange(len(classes), dtype=np.int32), counts)
        return [os.fsdecode(name) for name in classes], dict(text=text, ends=ends, labels=labels)

    def _walk(self, folder: bytes, names: list[bytes], above: tuple) -> None:
        place = os.path.join(self.root, folder)
        status = _status(place)
        here = (status.st_dev, status.st_ino)
        if here in above:
            raise UserError(f'{os.fsdecode(place)} links to a folder around it: remove the link')
        files, folders = self._list(folder)
        names += files
        self.found += len(files)
        self.report(self.found, len(self.folders))
        for name in folders:
            self._walk(name, names, (*above, here))

    def _list(self, folder: bytes) -> tuple[list[bytes], list[bytes]]:
        place = os.path.join(self.root, folder)
        # Before the listing: what comes in between must count as a change.
        changed = _status(place).st_mtime_ns
        if changed > self.started - STAMP_NANOSECONDS:
            changed = UNKNOWN
        self.folders.append(Folder(folder, changed))
        files, folders = [], []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    name = os.path.join(folder, entry.name)
                    if not entry.name.startswith(b'.') and entry.is_file():
                        if entry.name.lower().endswith(self.extensions):
                            files.append(name)
                    elif entry.is_dir():
                        folders.append(name)
        except OSError as error:
            raise _unreadable(place, error) from error
        return files, folders


def folders_changed(root: str, names: list[str], times: np.ndarray) -> bool:
    """Whether a folder below the root is not as it was at its time of a scan."""
    for name, changed in zip(names, times.tolist(), strict=True):
        try:
            if changed == UNKNOWN or os.stat(os.path.join(root, name)).st_mtime_ns != changed:
                return True
        except (OSError, ValueError):  # no name of a folder, as in a damaged list
            return True
    return False


def _status(place: bytes) -> os.stat_result:
    try:
        return os.stat(place)
    except OSError as error:
        raise _unreadable(place, error) from error


def _unreadable(place: bytes, error: OSError) -> UserError:
    return UserError(f'cannot read the folder {os.fsdecode(place)}: {error.strerror or error}')
