"""Recorded runs as they are shown: names, order, colors and groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from symmim_mm.config import RANDOM, TASKS
from symmim_mm.results.record import Record

# Our own methods, in the order in which they are shown; others follow by name.
METHOD_NAMES = {'symmim': 'SymMIM', 'mae': 'MAE', 'simmim': 'SimMIM', RANDOM: 'random start'}
METHODS = tuple(METHOD_NAMES)
COLORS = 8


@dataclass(frozen=True)
class RecordedRun:
    """A record and the directory it was found in."""

    record: Record
    folder: Path


def method_name(method: str) -> str:
    """Return the name of a method as tables and the page show it."""
    return METHOD_NAMES.get(method, method)


def method_order(method: str) -> tuple[int, str]:
    """Return the sorting key of a method."""
    return METHODS.index(method) if method in METHODS else len(METHODS), method


def sort_runs(runs: Sequence[RecordedRun]) -> list[RecordedRun]:
    """Sort runs by method, seed and task."""

    def key(run: RecordedRun) -> tuple:
        record = run.record
        return method_order(record.method), record.seed, TASKS.index(record.task), record.run

    return sorted(runs, key=key)


def color_slots(runs: Sequence[RecordedRun]) -> dict[str, int]:
    """Return the color number of each method: fixed for our own, then in order, eight in all."""
    others = sorted({run.record.method for run in runs} - set(METHODS))
    return {method: index % COLORS for index, method in enumerate((*METHODS, *others))}


def group_runs(
    runs: Sequence[RecordedRun],
) -> Iterator[tuple[str, str, list[RecordedRun]]]:
    """Yield task, dataset (empty where all runs have the same) and runs, in the tasks' order."""
    groups: dict[tuple[int, str], list[RecordedRun]] = {}
    for run in runs:
        key = (TASKS.index(run.record.task), run.record.dataset)
        groups.setdefault(key, []).append(run)
    several = len({dataset for _, dataset in groups}) > 1
    for (task, dataset), group in sorted(groups.items(), key=lambda item: item[0]):
        yield TASKS[task], dataset if several else '', group
