"""The images below a folder, found as MMPretrain's ``CustomDataset`` finds them."""

import os
import time
from collections.abc import Iterator

from symmim_mm.utils.errors import UserError

# The default of mmpretrain.datasets.CustomDataset; lower case, compared without regard to case.
EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')

# A folder that changes again within this time of a change may keep its time stamp.
STAMP_NANOSECONDS = 2 * 10**9
UNKNOWN = -1


class FolderScan:
    """Walks through folders below a root; links and hidden folders are followed.

    Files whose names begin with a dot are skipped. The methods ``on_...`` are called with paths
    from the root; here they do nothing, or raise where images would be missed.

    Args:
        root: the folder to which all paths are relative.
        extensions: of images, in lower case, with the dot.

    Attributes:
        folder_times: last change, in ns, of every folder that was listed, by path; ``UNKNOWN``
            where it was so recent that one more change might not show.
    """

    def __init__(self, root: str, extensions: tuple[str, ...] = EXTENSIONS) -> None:
        self.root = root
        self.extensions = tuple(extensions)
        self.folder_times: dict[str, int] = {}
        self.started = time.time_ns()

    def images(self, folder: str = '', deep: bool = True) -> Iterator[str]:
        """Yield the images in a folder and, if ``deep``, below it, in the file system's order.

        Nothing is kept but the folders still to visit, and ``folder_times``.

        Raises:
            UserError: a folder cannot be read, or links to one around it.
        """
        waiting: list[tuple[str, tuple]] = [(folder, ())]
        while waiting:
            folder, above = waiting.pop()
            prefix = f'{folder}/' if folder else ''
            try:
                status = self._visit(folder)
                identity = (status.st_dev, status.st_ino)
                if identity in above:
                    self.on_loop(folder)
                    continue
                if above and os.path.basename(folder).startswith('.'):
                    self.on_hidden_folder(folder)
                with os.scandir(os.path.join(self.root, folder)) as entries:
                    for entry in entries:
                        name = entry.name
                        is_file, is_folder = _kind(entry)
                        if is_file:
                            if name.startswith('.'):
                                continue
                            if name.lower().endswith(self.extensions):
                                yield prefix + name
                            else:
                                self.on_other_file(prefix + name)
                        elif is_folder:
                            if deep:
                                waiting.append((prefix + name, (*above, identity)))
                        elif entry.is_symlink():
                            self.on_broken_link(prefix + name)
            except OSError as error:
                self.on_unreadable(folder, error)

    def folders(self, folder: str = '') -> list[str]:
        """Return the sorted names of the folders directly in a folder: the classes of a dataset.

        Raises:
            UserError: the folder cannot be read.
        """
        try:
            self._visit(folder)
            with os.scandir(os.path.join(self.root, folder)) as entries:
                return sorted(entry.name for entry in entries if _kind(entry)[1])
        except OSError as error:
            self.on_unreadable(folder, error)
            return []

    def _visit(self, folder: str) -> os.stat_result:
        # Before the listing: what comes in between must count as a change.
        status = os.stat(os.path.join(self.root, folder))
        recent = status.st_mtime_ns > self.started - STAMP_NANOSECONDS
        self.folder_times[folder] = UNKNOWN if recent else status.st_mtime_ns
        return status

    def on_unreadable(self, folder: str, error: OSError) -> None:
        """Raise: the folder cannot be read."""
        place = os.path.join(self.root, folder)
        raise UserError(f'cannot read the folder {place}: {error.strerror or error}') from error

    def on_loop(self, folder: str) -> None:
        """Raise: the folder is one of those around it."""
        place = os.path.join(self.root, folder)
        raise UserError(f'{place} links to a folder around it: remove the link')

    def on_hidden_folder(self, folder: str) -> None:
        """Ignore that the name of a folder begins with a dot."""

    def on_other_file(self, path: str) -> None:
        """Skip a file that is no image by its name."""

    def on_broken_link(self, path: str) -> None:
        """Skip a link that leads nowhere."""


def folders_changed(root: str, times: dict[str, int]) -> bool:
    """Return whether a folder is not as it was at a scan, by its :attr:`FolderScan.folder_times`.

    Every entry that is added, removed or renamed renews the time of its folder.
    """
    for name, changed in times.items():
        try:
            if changed == UNKNOWN or os.stat(os.path.join(root, name)).st_mtime_ns != changed:
                return True
        except (OSError, ValueError):  # no name of a folder, as in a damaged list
            return True
    return False


def _kind(entry: os.DirEntry) -> tuple[bool, bool]:
    """Return whether an entry is a file, and whether a folder; a link to itself is neither."""
    try:
        return entry.is_file(), entry.is_dir()
    except OSError:
        return False, False
