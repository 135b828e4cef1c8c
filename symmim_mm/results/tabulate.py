"""The comparison table, computed from records alone.

What is compared with what:

* a **table** holds the runs that go back to one pre-training dataset and architecture;
* a **row** is a method with one pre-training config, from scratch, from runs, or from one file;
* a **column** is a metric of a task with one dataset and one transfer config, so that all rows
  of a column were made by the same recipe;
* a **cell** averages seeds and nothing else: mean, sample standard deviation and count. Of
  several records with the same row, column and seed the one finished last counts, and a note
  says so. What nobody ran is an empty cell. Runs on other data, with other negatives, or with
  BatchNorm over another number of images, stand in rows or columns of their own.

A random start has no pre-training: its numbers are in every table that has their column. So are
those of a supervised training from scratch, a row in the column of its task and data although its
recipe is another one.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from pathlib import PurePosixPath

from symmim_mm.config import RANDOM
from symmim_mm.results.record import Record
from symmim_mm.results.runs import batch_key, data_key, dataset_name, method_name, method_order
from symmim_mm.results.table import COLUMNS, UNKNOWN, Cell, Column, Row, Table


def build_tables(records: Sequence[Record]) -> tuple[list[Table], list[str]]:
    """Arrange records into tables; also return one note for each record that was not used."""
    # Of all records: transfers may come from a pre-training that a newer one replaces.
    pretrained: dict[tuple[str, str | None], Record] = {
        (item.method, item.checkpoint_sha256): item
        for item in records
        if item.task == 'pretrain' and item.checkpoint_sha256
    }
    kept, notes = _latest(records, pretrained)
    grouped: dict[tuple[str, str], dict[tuple[str, ...], list[Record]]] = {}
    baselines: list[Record] = []
    for record in kept:
        if record.method == RANDOM or _from_scratch(record):
            baselines.append(record)
            continue
        origin: Record | None = record
        if record.task != 'pretrain':
            origin = pretrained.get((record.method, record.backbone_sha256))
        setting = (dataset_name(origin), origin.arch) if origin else ('', '')
        start = UNKNOWN
        if origin:
            start = (origin.config, origin.config_sha256, data_key(origin), batch_key(origin))
        key = (record.method, *start, _weights(origin or record))
        grouped.setdefault(setting, {}).setdefault(key, []).append(record)

    tables = []
    placed: set[int] = set()
    for dataset, arch in sorted(grouped, key=lambda setting: (setting == ('', ''), setting)):
        rows = grouped[dataset, arch]
        shared = {_recipe(item) for group in rows.values() for item in group}
        fitting = [
            item
            for item in baselines
            if any(_fits(item, recipe) for recipe in shared)
            and (item.method == RANDOM or item.arch == arch)
        ]
        placed.update(map(id, fitting))
        tables.append(_table(dataset, arch, rows | _baseline_rows(fitting)))
    left = [item for item in baselines if id(item) not in placed]
    for scratch in (False, True):
        if group := [item for item in left if _from_scratch(item) == scratch]:
            tables.append(_table('', '', _baseline_rows(group)))
    return tables, notes


def _from_scratch(record: Record) -> bool:
    started = record.task == 'pretrain' or record.backbone_sha256 is not None
    return not started and record.method != RANDOM


def _baseline_rows(records: Sequence[Record]) -> dict[tuple[str, ...], list[Record]]:
    rows: dict[tuple[str, ...], list[Record]] = {}
    for item in records:
        config = (item.config, item.config_sha256, '', '') if _from_scratch(item) else UNKNOWN
        rows.setdefault((item.method, *config, ''), []).append(item)
    return rows


def _fits(record: Record, recipe: tuple[str, ...]) -> bool:
    """Return whether a record belongs into the column of a recipe."""
    own = _recipe(record)
    if not _from_scratch(record):
        return own == recipe
    return (*own[:2], own[3]) == (*recipe[:2], recipe[3])  # task, dataset and data


def _weights(record: Record) -> str:
    """Return what tells apart the weights that a pre-training, or a transfer of none, started from.

    A transfer of a run of ours, of which only the name is known, may be one of several seeds.
    """
    if record.parent:
        return 'from a run' if record.task == 'pretrain' else ''
    digest = record.backbone_sha256 or ''
    return f'weights {digest[:8]}' if digest else ''


def _recipe(record: Record) -> tuple[str, ...]:
    name = dataset_name(record)
    return record.task, name, record.config_sha256, data_key(record), batch_key(record)


def _latest(
    records: Sequence[Record], pretrained: dict[tuple[str, str | None], Record]
) -> tuple[list[Record], list[str]]:
    """Of the records that differ in nothing but when they ran, keep the last one."""
    same: dict[tuple, list[Record]] = {}
    for record in records:
        # The pre-training counts by what it was, not by its file: running it again gives a file
        # of another hash, and the transfers of both are repetitions of one another.
        origin = pretrained.get((record.method, record.backbone_sha256))
        start: tuple = (record.backbone_sha256,)
        if origin:
            start = (origin.seed, *_recipe(origin), origin.backbone_sha256)
        key = (record.method, _recipe(record), record.arch, record.seed, start)
        same.setdefault(key, []).append(record)
    kept, notes = [], []
    for group in same.values():
        last = max(reversed(group), key=lambda item: datetime.fromisoformat(item.finished))
        kept.append(last)
        if len(group) > 1:
            notes.append(
                f'{last.run} (seed {last.seed}): {len(group)} records of the same run; '
                f'the one finished {last.finished} counts'
            )
    return kept, notes


def _table(dataset: str, arch: str, rows: dict[tuple[str, ...], list[Record]]) -> Table:
    records = [record for group in rows.values() for record in group]
    # A training from scratch has a column of its own only where there is no other.
    transfers = [record for record in records if not _from_scratch(record)]
    table = Table(dataset, arch, _columns(transfers or records))
    keys = sorted(rows, key=lambda key: (method_order(key[0]), key))
    details = [
        (f'{config} {digest[:8]}' if digest else 'pre-training unknown', data, batch, weights)
        for _, config, digest, data, batch, weights in keys
    ]
    labels = _tell_apart([method_name(key[0]) for key in keys], details)
    for key, label in zip(keys, labels, strict=True):
        table.rows.append(_fill(Row(key[0], key[1], key[2], label), table.columns, rows[key]))
    for column in table.columns:
        levels = [
            item.chance[column.metric]
            for item in records
            if _recipe(item) == column.recipe and column.metric in item.chance
        ]
        if levels:
            table.chance[column] = statistics.fmean(levels)
    return table


def _tell_apart(names: Sequence[str], details: Sequence[tuple[str, ...]]) -> list[str]:
    """Add to equal names the first of their details that differ, and so on."""
    names = list(names)
    for level in zip(*details, strict=True):
        pairs = list(zip(names, level, strict=True))
        kinds = Counter(name for name, _ in set(pairs))
        names = [f'{name}, {text}' if kinds[name] > 1 and text else name for name, text in pairs]
    return names


def _columns(records: Sequence[Record]) -> list[Column]:
    """Return a column for each metric and recipe that was run."""
    columns = []
    for task, metric, label in COLUMNS:
        found = {
            _recipe(item): item for item in records if item.task == task and metric in item.metrics
        }
        names, details = [], []
        for (_, dataset, digest, *others), item in sorted(found.items(), key=itemgetter(0)):
            # Data in the place of a public dataset are always named.
            names.append(label if dataset == item.dataset else f'{label}, {dataset}')
            details.append((dataset, f'{PurePosixPath(item.config).stem} {digest[:6]}', *others))
        labels = zip(_tell_apart(names, details), sorted(found), strict=True)
        columns += [Column(task, metric, name, recipe) for name, recipe in labels]
    return columns


def _fill(row: Row, columns: list[Column], records: list[Record]) -> Row:
    for column in columns:
        chosen = [
            item for item in records if _fits(item, column.recipe) and column.metric in item.metrics
        ]
        if chosen:
            row.cells[column] = _cell(chosen, column.metric)
    pretrain = [item for item in records if item.task == 'pretrain']
    if pretrain:
        row.hours_pretrain = statistics.fmean(map(_device_hours, pretrain))
        # Seeds of a row share data and config.
        first, seen = pretrain[0], [item.images for item in pretrain if item.images is not None]
        if len(seen) == len(pretrain):
            row.images = statistics.fmean(seen)
            if first.data and first.data.train.images:
                row.epochs = row.images / first.data.train.images
            if first.flops_per_image:
                row.pflop = row.images * first.flops_per_image / 1e15
        if all('loss' in item.metrics for item in pretrain):
            row.pretrain = _cell(pretrain, 'loss')
    recipes = {_recipe(item) for item in records if item.task != 'pretrain'}
    # Without the record of its pre-training the hours of a method are not known.
    if recipes and (pretrain or all(item.backbone_sha256 is None for item in records)):
        row.hours_total = (row.hours_pretrain or 0.0) + sum(
            statistics.fmean(_device_hours(item) for item in records if _recipe(item) == recipe)
            for recipe in recipes
        )
    return row


def _device_hours(record: Record) -> float:
    if record.device_s is not None:
        return record.device_s / 3600
    return record.duration_s / 3600 * (record.hardware.world_size or 1)


def _cell(records: Sequence[Record], metric: str) -> Cell:
    ordered = tuple(sorted(records, key=lambda item: item.seed))
    values = [item.metrics[metric] for item in ordered]
    mean = statistics.fmean(values)
    if len(values) > 1:
        return Cell(mean, statistics.stdev(values), ordered)
    val = ordered[0].data and ordered[0].data.val
    if metric != 'top1' or not val or not val.images:
        return Cell(mean, None, ordered)
    return Cell(mean, None, ordered, (mean * (100 - mean) / val.images) ** 0.5)
