"""What the check of a layout hands on: images to look at, and what becomes of each outcome."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from symmim_mm.datacheck.report import Report, plural
from symmim_mm.datasets.folder_scan import FolderScan

HINT_DEPTH = 3
HINT_FOLDERS = 500  # folders looked into for a hint
SUFFIXES = 20  # different extensions counted among the files that are not read
OTHER = 'otherwise'


class Job(NamedTuple):
    """An image to check: its path from the root, and that of its label map where it has one.

    ``size``: the ``(width, height)`` that an annotation file gives, where there is one.
    """

    path: str
    label_map: str | None = None
    size: tuple[int, int] | None = None


class Outcome(NamedTuple):
    """Findings as ``(kind, path, text)``, and the highest class of the label map, or -1."""

    findings: list[tuple[str, str, str]]
    highest: int = -1


class Plan(NamedTuple):
    """``total`` images in ``jobs``; ``seen`` gets every outcome, ``end`` is called last."""

    total: int = 0
    jobs: Iterable[Job] = ()
    seen: Callable[[Job, Outcome], None] = lambda job, outcome: None
    end: Callable[[], None] = lambda: None


class Listing(FolderScan):
    """The images below folders of a root, with findings of what is odd about other entries.

    Args:
        root: the folder that is checked.
        report: takes the findings; None where they have been reported before.
    """

    def __init__(self, root: str, report: Report | None = None) -> None:
        super().__init__(root)
        self.report = report or Report('', root)
        self.others: Counter[str] = Counter()  # files that are not read, by extension
        self.examples: dict[str, str] = {}

    def report_other_files(self) -> None:
        """Add a finding for each extension that was not read."""
        for suffix, number in sorted(self.others.items()):
            what = f'ending {suffix}' if suffix else 'without extension'
            self.report.add('not-read', self.examples[suffix], f'{plural(number, "file")} {what}')
        self.others.clear()
        self.examples.clear()

    def on_unreadable(self, folder: str, error: OSError) -> None:
        """Report a folder that cannot be read."""
        self.report.add('unreadable', folder, error.strerror or str(error))

    def on_loop(self, folder: str) -> None:
        """Report a link to a folder around it."""
        target = os.path.realpath(os.path.join(self.root, folder))
        self.report.add('link-loop', folder, f'to {target}')

    def on_hidden_folder(self, folder: str) -> None:
        """Report a folder whose name begins with a dot."""
        self.report.add('hidden-folder', folder)

    def on_broken_link(self, path: str) -> None:
        """Report a link that leads nowhere."""
        self.report.add('broken-link', path, f'to {os.readlink(os.path.join(self.root, path))}')

    def on_other_file(self, path: str) -> None:
        """Count a file that is no image by its name."""
        suffix = os.path.splitext(path)[1].lower()
        if suffix not in self.others and len(self.others) >= SUFFIXES:
            suffix = OTHER
        self.others[suffix] += 1
        self.examples.setdefault(suffix, path)


def missing_folders(root: str, wanted: Iterable[str], report: Report) -> None:
    """Report which of the wanted folders and files are not there.

    Where a folder below the root has the layout instead, the finding says so.
    """
    wanted = list(wanted)
    missing = [name for name in wanted if not os.path.exists(os.path.join(root, name))]
    better = next(_better_roots(root, wanted), None) if len(missing) == len(wanted) else None
    for name in missing:
        report.add('missing-folder', name, f'found in {better}: name that folder' if better else '')


def _better_roots(root: str, wanted: list[str]) -> Iterator[str]:
    """Yield folders at most a few levels below the root that hold everything wanted."""
    waiting, left = deque([(root, 0)]), HINT_FOLDERS
    while waiting and left:
        folder, depth = waiting.popleft()
        left -= 1
        if all(os.path.exists(os.path.join(folder, name)) for name in wanted):
            yield folder
        if depth < HINT_DEPTH:
            try:
                with os.scandir(folder) as entries:
                    below = [entry.path for entry in entries if entry.is_dir()]
            except OSError:
                continue
            waiting.extend((path, depth + 1) for path in sorted(below)[:HINT_FOLDERS])
