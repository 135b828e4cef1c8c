"""What the check of a layout hands on: images to look at, and what becomes of each outcome."""

import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

from symmim_mm.datacheck.report import Report
from symmim_mm.datasets.folder_scan import FolderScan
from symmim_mm.utils.text import counted

HINT_DEPTH = 3
HINT_FOLDERS = 500  # folders looked into for a hint


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
    """``total`` images in ``jobs``; ``end`` is called last, with the highest class of all."""

    total: int
    jobs: Iterable[Job]
    end: Callable[[int], None] = lambda highest: None


class Listing(FolderScan):
    """The images below folders of a root, with findings of what is odd about other entries.

    ``report`` is None where these have been reported before.
    """

    def __init__(self, root: str, report: Report | None = None) -> None:
        super().__init__(root)
        self.report = report or Report('', root)

    def notice(self, kind: str, path: str, reason: str = '') -> None:
        """Report an odd entry."""
        self.report.add(kind, path, reason)

    def report_other_files(self) -> None:
        """Add a finding for each extension that was not read."""
        for suffix, number in sorted(self.others.items()):
            what = f'ending {suffix}' if suffix else 'without extension'
            self.report.add('not-read', self.examples[suffix], f'{counted(number, "file")} {what}')


def missing_folders(root: str, wanted: list[str], report: Report) -> None:
    """Report which of the wanted folders and files are not there.

    Where a folder below the root has the layout instead, the finding says so.
    """
    missing = [name for name in wanted if not os.path.exists(os.path.join(root, name))]
    better = _better_root(root, wanted) if len(missing) == len(wanted) else None
    for name in missing:
        report.add('missing-folder', name, f'found in {better}: name that folder' if better else '')


def _better_root(root: str, wanted: list[str]) -> str | None:
    """Return the nearest folder at most a few levels below the root that holds all wanted."""
    folders = [(root, 0)]
    for folder, depth in folders:  # grows meanwhile
        if all(os.path.exists(os.path.join(folder, name)) for name in wanted):
            return folder
        if depth < HINT_DEPTH and len(folders) < HINT_FOLDERS:
            _, below, _ = next(os.walk(folder), ('', [], []))
            folders += [
                (os.path.join(folder, name), depth + 1) for name in sorted(below)[:HINT_FOLDERS]
            ]
    return None
