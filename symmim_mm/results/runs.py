"""Recorded runs as they are shown: names, order, colors and groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from symmim_mm.config import RANDOM, TASKS
from symmim_mm.results.record import Record

# Our own methods, in the order in which they are shown; others follow by name.
METHOD_NAMES = {'symmim': 'SymMIM', 'mae': 'MAE', 'simmim': 'SimMIM', RANDOM: 'random start'}
METHODS = tuple(METHOD_NAMES)
# Public datasets, for which there are published results: numbers of training images (of COCO all,
# or those with annotations) and of validation images, and of classes.
OFFICIAL = {
    'imagenet-1k': ({1_281_167}, 50_000, 1000),
    'coco-2017': ({118_287, 117_266}, 5_000, 80),
    'ade20k': ({20_210}, 2_000, 150),
}
COLORS = 8


@dataclass(frozen=True)
class RecordedRun:
    """A record and the directory it was found in."""

    record: Record
    folder: Path


def method_name(method: str) -> str:
    """Return the name of a method as tables and the page show it."""
    return METHOD_NAMES.get(method, method)


def is_official(record: Record) -> bool:
    """Return whether a run read one of the ``OFFICIAL`` datasets, by the counts of its images.

    A pre-training reads no validation images, and may read images without their labels.
    """
    if record.data is None or record.dataset not in OFFICIAL:
        return False
    trained, validated, classes = OFFICIAL[record.dataset]
    train, val = record.data.train, record.data.val
    if record.task == 'pretrain':
        return train.images in trained and train.classes in (classes, None)
    found = train.classes, val and val.images
    return train.images in trained and found == (classes, validated)


def dataset_name(record: Record) -> str:
    """Return a dataset's name as it is shown: that of a public one only if it is this one.

    Data in the place of a public dataset become ``imagenet-1k-like: 300 images, 10 classes``.
    """
    if record.data is None or record.dataset not in OFFICIAL or is_official(record):
        return record.dataset
    train, val = record.data.train, record.data.val
    images = f'{train.images:,}' if val is None else f'{train.images:,} + {val.images:,}'
    classes = f', {train.classes:,} classes' if train.classes else ''
    return f'{record.dataset}-like: {images} images{classes}'


def data_key(record: Record) -> str:
    """Return counts and fingerprints of a run's data, as one text: equal for equal data."""
    if record.data is None:
        return 'data not recorded'
    splits = filter(None, (record.data.train, record.data.val))
    return ' + '.join(f'{part.images:,} images {part.fingerprint or "":.12}' for part in splits)


def batch_key(record: Record) -> str:
    """Return what of a run's batch changes what is learned, its size apart, as one text.

    Statistics of BatchNorm depend on the images that it sees at once, a contrast on its negatives.
    """
    batch, parts = record.batch, []
    if batch is not None and batch.batch_norm:
        parts.append(f'{batch.accumulation} x {batch.micro_batch * batch.processes:,} images')
    if batch is not None and batch.negatives is not None:
        parts.append(f'{batch.negatives:,} negatives')
    return ', '.join(parts)


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
        key = (TASKS.index(run.record.task), dataset_name(run.record))
        groups.setdefault(key, []).append(run)
    several = len({dataset for _, dataset in groups}) > 1
    for (task, dataset), group in sorted(groups.items(), key=lambda item: item[0]):
        yield TASKS[task], dataset if several else '', group
