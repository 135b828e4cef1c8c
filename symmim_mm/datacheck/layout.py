"""What a check of a layout hands on: the pictures to look at, and who is told of each outcome."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from symmim_mm.datacheck.job import Job, Outcome
from symmim_mm.datacheck.report import Report

HINT_DEPTH = 3
HINT_FOLDERS = 500  # folders looked into for a hint


def nothing(job: Job, outcome: Outcome) -> None:
    """Of the outcome only the findings are wanted."""


class Plan(NamedTuple):
    """``total`` pictures in ``jobs``; ``seen`` gets every outcome, ``end`` is called last."""

    total: int = 0
    jobs: Iterable[Job] = ()
    seen: Callable[[Job, Outcome], None] = nothing
    end: Callable[[], None] = lambda: None


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
    """Folders at most a few levels below the root that hold everything wanted."""
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
