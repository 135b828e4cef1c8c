"""The images below a folder, in the order of MMPretrain's ``CustomDataset``."""

import os
import time
from collections import Counter
from collections.abc import Iterator

from symmim_mm.utils.errors import UserError

# The default of mmpretrain.datasets.CustomDataset, and what else OpenCV or Pillow reads; lower
# case, compared without regard to case.
EXTENSIONS = (
    '.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp', '.avif',
)  # fmt: skip

# A folder that changes again within this time of a change may keep its time stamp.
STAMP_NANOSECONDS = 2 * 10**9
UNKNOWN = -1

SUFFIXES = 20  # different extensions counted among the files that are not read
OTHER = 'otherwise'


class FolderScan:
    """Walks through folders below a root; links and hidden folders are followed.

    Files whose names begin with a dot are skipped. All paths are relative to the root.

    Args:
        root: the outermost folder.
        extensions: of images, in lower case, with the dot.

    Attributes:
        folder_times: last change, in ns, of every folder that was listed, by path; ``UNKNOWN``
            where it was so recent that one more change might not show.
        others: number of files that are no images, by extension in lower case, those beyond the
            first ``SUFFIXES`` as ``OTHER``.
        examples: the first of each.
    """

    def __init__(self, root: str, extensions: tuple[str, ...] = EXTENSIONS) -> None:
        self.root = root
        self.extensions = tuple(extensions)
        self.folder_times: dict[str, int] = {}
        self.others: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
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
                    self.notice('link-loop', folder, f'to {os.path.realpath(self._full(folder))}')
                    continue
                if above and os.path.basename(folder).startswith('.'):
                    self.notice('hidden-folder', folder)
                with os.scandir(self._full(folder)) as entries:
                    for entry in entries:
                        path = prefix + entry.name
                        is_file, is_folder = _kind(entry)
                        if is_folder and deep:
                            waiting.append((path, (*above, identity)))
                        elif is_file and not entry.name.startswith('.'):
                            if path.lower().endswith(self.extensions):
                                yield path
                            else:
                                self._count_other(path)
                        elif not is_file and not is_folder and entry.is_symlink():
                            self.notice('broken-link', path, f'to {os.readlink(entry.path)}')
            except OSError as error:
                self.notice('unreadable', folder, error.strerror or str(error))

    def folders(self, folder: str = '') -> list[str]:
        """Return the sorted names of the folders directly in a folder: the classes of a dataset.

        Raises:
            UserError: the folder cannot be read.
        """
        try:
            self._visit(folder)
            with os.scandir(self._full(folder)) as entries:
                return sorted(entry.name for entry in entries if _kind(entry)[1])
        except OSError as error:
            self.notice('unreadable', folder, error.strerror or str(error))
            return []

    def notice(self, kind: str, path: str, reason: str = '') -> None:
        """Handle an odd entry: here, raise where images would be missed.

        Kinds are those of ``tools/check_dataset.py``; the reason is the system's, or where a link
        leads.
        """
        if kind == 'unreadable':
            raise UserError(f'cannot read the folder {self._full(path)}: {reason}')
        if kind == 'link-loop':
            raise UserError(f'{self._full(path)} links to a folder around it: remove the link')

    def _count_other(self, path: str) -> None:
        suffix = os.path.splitext(path)[1].lower()
        if suffix not in self.others and len(self.others) >= SUFFIXES:
            suffix = OTHER
        self.others[suffix] += 1
        self.examples.setdefault(suffix, path)

    def _full(self, folder: str) -> str:
        return os.path.join(self.root, folder)

    def _visit(self, folder: str) -> os.stat_result:
        # Before the listing: what comes in between must count as a change.
        status = os.stat(self._full(folder))
        recent = status.st_mtime_ns > self.started - STAMP_NANOSECONDS
        self.folder_times[folder] = UNKNOWN if recent else status.st_mtime_ns
        return status


def folders_changed(root: str, times: dict[str, int]) -> bool:
    """Return whether a folder is not as it was at a scan, by its :attr:`FolderScan.folder_times`.

    Every entry that is added, removed or renamed renews the time of its folder.
    """
    try:
        return any(
            changed == UNKNOWN or os.stat(os.path.join(root, name)).st_mtime_ns != changed
            for name, changed in times.items()
        )
    except OSError:  # gone
        return True


def _kind(entry: os.DirEntry) -> tuple[bool, bool]:
    """Return whether an entry is a file, and whether a folder; a link to itself is neither."""
    try:
        return entry.is_file(), entry.is_dir()
    except OSError:
        return False, False
