"""The files of a folder as MMPretrain's ``CustomDataset`` lists them, in bounded memory.

It follows ``mmengine.fileio``'s local backend: files are read if their names do not begin with a
dot and end in a known extension; folders are followed, hidden ones and links included.
"""

import os
from collections.abc import Iterator

from symmim_mm.datacheck.report import Report, plural

# The default of mmpretrain.datasets.CustomDataset; lower case, compared without regard to case.
EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')

SUFFIXES = 20  # extensions told apart among the files that are not read
OTHER = 'otherwise'


def is_picture(name: str) -> bool:
    """Whether MMPretrain takes a file of this name for a picture."""
    return not name.startswith('.') and name.lower().endswith(EXTENSIONS)


class Listing:
    """Lists the pictures below folders of ``root`` and reports what is odd about other entries."""

    def __init__(self, root: str, report: Report) -> None:
        self.root = root
        self.report = report
        self.passed_over: dict[str, tuple[int, str]] = {}  # suffix -> number, one example

    def pictures(self, folder: str, deep: bool = True) -> Iterator[str]:
        """Paths, relative to the root, of the pictures in ``folder`` and, if ``deep``, below it.

        The order is that of the file system: nothing is kept but the folders still to visit.
        """
        waiting = [(folder, ())]
        while waiting:
            place, above = waiting.pop()
            for entry, is_folder in self._entries(place):
                path = os.path.join(place, entry.name)
                if not is_folder:
                    if is_picture(entry.name):
                        yield path
                    elif not entry.name.startswith('.'):
                        self._pass_over(path)
                elif deep:
                    lineage = self._descend(path, entry, above)
                    if lineage:
                        waiting.append((path, lineage))

    def folders(self, folder: str) -> list[str]:
        """The sorted names of the folders in ``folder``: MMPretrain's classes."""
        entries = Listing(self.root, Report('', self.root))._entries(folder)  # reported elsewhere
        return sorted(entry.name for entry, is_folder in entries if is_folder)

    def report_passed_over(self) -> None:
        """Add a finding for each extension that was not read."""
        for suffix, (number, example) in sorted(self.passed_over.items()):
            what = f'ending {suffix}' if suffix else 'without extension'
            self.report.add('not-read', example, f'{plural(number, "file")} {what}')
        self.passed_over.clear()

    def _entries(self, folder: str) -> Iterator[tuple[os.DirEntry, bool]]:
        """Files and folders with whether they are folders; links are followed."""
        try:
            with os.scandir(os.path.join(self.root, folder)) as entries:
                for entry in entries:
                    is_folder, is_file = _kind(entry)
                    if is_folder or is_file:
                        yield entry, is_folder
                    elif entry.is_symlink():
                        path = os.path.join(folder, entry.name)
                        self.report.add('broken-link', path, f'to {os.readlink(entry.path)}')
        except OSError as error:
            self.report.add('unreadable', folder, error.strerror or str(error))

    def _descend(
        self, path: str, entry: os.DirEntry, above: tuple[tuple[int, int], ...]
    ) -> tuple[tuple[int, int], ...] | None:
        """The identities of a folder and those above it, None where it is one of them."""
        status = entry.stat()
        identity = (status.st_dev, status.st_ino)
        if not above:
            top = os.stat(os.path.join(self.root, os.path.dirname(path)))
            above = ((top.st_dev, top.st_ino),)
        if identity in above:
            self.report.add('link-loop', path, f'to {os.path.realpath(entry.path)}')
            return None
        if entry.name.startswith('.'):
            self.report.add('hidden-folder', path)
        return (*above, identity)

    def _pass_over(self, path: str) -> None:
        suffix = os.path.splitext(path)[1].lower()
        if suffix not in self.passed_over and len(self.passed_over) >= SUFFIXES:
            suffix = OTHER
        number, example = self.passed_over.get(suffix, (0, path))
        self.passed_over[suffix] = (number + 1, example)


def _kind(entry: os.DirEntry) -> tuple[bool, bool]:
    """Whether an entry is a folder, and whether a file; a link to itself is neither."""
    try:
        return entry.is_dir(), entry.is_file()
    except OSError:
        return False, False
