"""The comparison table, computed from records alone.

What is compared with what:

* a **table** holds the runs that go back to one pre-training dataset and architecture;
* a **row** is a method with one pre-training config;
* a **column** is a metric of a task with one dataset and one transfer config, so that all rows
  of a column were made by the same recipe;
* a **cell** averages seeds and nothing else: mean, sample standard deviation and count. Of
  several records with the same row, column and seed the one finished last counts, and a note
  says so. What nobody ran is an empty cell.

A random start has no pre-training: its numbers are in every table that has their column.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from symmim_mm.config import RANDOM
from symmim_mm.results.record import Record
from symmim_mm.results.runs import method_name, method_order

# Task, metric and label of the columns.
COLUMNS = (
    ('finetune', 'top1', 'Fine-tune top-1'),
    ('linear', 'top1', 'Linear top-1'),
    ('knn', 'top1', 'k-NN top-1'),
    ('detection', 'box_ap', 'Box AP'),
    ('detection', 'mask_ap', 'Mask AP'),
    ('segmentation', 'miou', 'mIoU'),
)


@dataclass(frozen=True)
class Column:
    """A metric of one task; ``dataset`` and ``config`` are empty where nobody ran the task."""

    task: str
    metric: str
    label: str
    dataset: str = ''
    config: str = ''
    config_sha256: str = ''

    @property
    def recipe(self) -> tuple[str, str, str]:
        """What all records of the column share."""
        return self.task, self.dataset, self.config_sha256


@dataclass(frozen=True)
class Cell:
    """Mean over seeds (percent) and sample standard deviation (``None`` for one seed)."""

    mean: float
    std: float | None
    records: tuple[Record, ...]

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.records)


@dataclass
class Row:
    """One method with one pre-training config. Hours are means over seeds."""

    method: str
    config: str
    config_sha256: str
    label: str
    cells: dict[Column, Cell] = field(default_factory=dict)
    hours_pretrain: float | None = None
    hours_total: float | None = None
    pretrain: Cell | None = None


@dataclass
class Table:
    """Rows and columns of one pre-training dataset and architecture; ``''`` is unknown."""

    dataset: str
    arch: str
    columns: list[Column]
    rows: list[Row] = field(default_factory=list)
    chance: dict[Column, float] = field(default_factory=dict)

    @property
    def seeds(self) -> int:
        """The number of seeds that most cells have."""
        counts = [cell.n for row in self.rows for cell in row.cells.values()]
        return statistics.mode(counts) if counts else 1

    @property
    def title(self) -> str:
        """What the runs share, with the number of seeds, which cells then need not repeat."""
        title = f'Pre-trained on {self.dataset}, {self.arch}'
        if not self.dataset:
            title = 'Runs without a pre-training record'
        return title + (f', {self.seeds} seeds' if self.seeds > 1 else '')

    def spread(self, cell: Cell) -> str:
        """Return ``± 0.4`` for several seeds, and ``(n=2)`` where most cells have another n."""
        std = '' if cell.std is None else f'± {cell.std:.1f}'
        count = '' if cell.n == self.seeds else f'(n={cell.n})'
        return f'{std} {count}'.strip()

    def text(self, cell: Cell) -> str:
        """Return a cell in one line, such as ``63.2 ± 0.4``."""
        return f'{cell.mean:.1f} {self.spread(cell)}'.strip()

    def means(self, column: Column) -> list[float]:
        """Return the means of a column."""
        return [row.cells[column].mean for row in self.rows if column in row.cells]

    def best(self, column: Column) -> float | None:
        """Return the highest mean of a column, or ``None`` if it has fewer than two cells."""
        means = self.means(column)
        return max(means) if len(means) > 1 else None

    def top(self, column: Column) -> float:
        """Return the value that a full bar of a column stands for."""
        return max(self.chance.get(column, 0.0), *self.means(column), 0.0) or 1.0

    def iter_cells(self, row: Row) -> Iterator[tuple[Column, Cell | None, bool]]:
        """Yield each column, the row's cell in it, and whether that is the best of the column."""
        for column in self.columns:
            cell = row.cells.get(column)
            yield column, cell, cell is not None and cell.mean == self.best(column)

    def chance_texts(self) -> list[str]:
        """Return the level of blind guessing in each column, empty where unknown."""
        levels = map(self.chance.get, self.columns)
        return ['' if level is None else f'{level:.1f}' for level in levels]


def build_tables(records: Sequence[Record]) -> tuple[list[Table], list[str]]:
    """Arrange records into tables; also return one note for each record that was not used."""
    # Of all records: transfers may come from a pre-training that a newer one replaces.
    pretrained = {
        (item.method, item.checkpoint_sha256): item for item in records if item.task == 'pretrain'
    }
    kept, notes = _latest(records, pretrained)
    grouped: dict[tuple[str, str], dict[tuple[str, str, str], list[Record]]] = {}
    random: list[Record] = []
    for record in kept:
        if record.method == RANDOM:
            random.append(record)
            continue
        origin = record if record.task == 'pretrain' else pretrained.get(_origin_key(record))
        setting = (origin.dataset, origin.arch) if origin else ('', '')
        start = (origin.config, origin.config_sha256) if origin else ('', '')
        grouped.setdefault(setting, {}).setdefault((record.method, *start), []).append(record)

    tables = []
    placed: set[int] = set()
    for dataset, arch in sorted(grouped, key=lambda setting: (setting == ('', ''), setting)):
        rows = grouped[dataset, arch]
        shared = {_recipe(item) for group in rows.values() for item in group}
        fitting = [item for item in random if _recipe(item) in shared]
        placed.update(map(id, fitting))
        if fitting:
            rows = {**rows, (RANDOM, '', ''): fitting}
        tables.append(_table(dataset, arch, rows))
    left = [item for item in random if id(item) not in placed]
    if left:
        tables.append(_table('', '', {(RANDOM, '', ''): left}))
    return tables, notes


def _recipe(record: Record) -> tuple[str, str, str]:
    return record.task, record.dataset, record.config_sha256


def _origin_key(record: Record) -> tuple[str, str | None]:
    return record.method, record.backbone_sha256 or ''


def _latest(
    records: Sequence[Record], pretrained: dict[tuple[str, str | None], Record]
) -> tuple[list[Record], list[str]]:
    """Of the records that differ in nothing but when they ran, keep the last one."""
    same: dict[tuple, list[Record]] = {}
    for record in records:
        # The pre-training counts by what it was, not by its file: running it again gives a file
        # of another hash, and the transfers of both are repetitions of one another.
        origin = pretrained.get(_origin_key(record))
        start: tuple = (record.backbone_sha256,)
        if origin:
            start = (origin.config_sha256, origin.seed, origin.dataset)
        key = (record.method, _recipe(record), record.arch, record.seed, start)
        same.setdefault(key, []).append(record)
    kept, notes = [], []
    for group in same.values():
        last = max(reversed(group), key=lambda item: item.finished)
        kept.append(last)
        if len(group) > 1:
            notes.append(
                f'{last.run} (seed {last.seed}): {len(group)} records of the same run; '
                f'the one finished {last.finished} counts'
            )
    return kept, notes


def _table(dataset: str, arch: str, rows: dict[tuple[str, str, str], list[Record]]) -> Table:
    records = [record for group in rows.values() for record in group]
    table = Table(dataset, arch, _columns(records))
    methods = [method for method, _, _ in rows]
    for key in sorted(rows, key=lambda key: (method_order(key[0]), key)):
        method, config, digest = key
        label = method_name(method)
        if methods.count(method) > 1:
            label += f' ({config}, {digest[:8]})' if digest else ' (pre-training unknown)'
        table.rows.append(_fill(Row(method, config, digest, label), table.columns, rows[key]))
    for column in table.columns:
        levels = [
            item.chance[column.metric]
            for item in records
            if _recipe(item) == column.recipe and column.metric in item.chance
        ]
        if levels:
            table.chance[column] = statistics.fmean(levels)
    return table


def _columns(records: Sequence[Record]) -> list[Column]:
    columns = []
    for task, metric, label in COLUMNS:
        recipes = {
            _recipe(item): item.config
            for item in records
            if item.task == task and metric in item.metrics
        }
        datasets = {dataset for _, dataset, _ in recipes}
        for (_, dataset, digest), config in sorted(recipes.items()):
            name = label
            if len(datasets) > 1:
                name += f', {dataset}'
            if sum(other[1] == dataset for other in recipes) > 1:
                name += f', {PurePosixPath(config).stem} {digest[:6]}'
            columns.append(Column(task, metric, name, dataset, config, digest))
        if not recipes:
            columns.append(Column(task, metric, label))
    return columns


def _fill(row: Row, columns: list[Column], records: list[Record]) -> Row:
    for column in columns:
        chosen = [
            item
            for item in records
            if _recipe(item) == column.recipe and column.metric in item.metrics
        ]
        if chosen:
            row.cells[column] = _cell(chosen, column.metric)
    pretrain = [item for item in records if item.task == 'pretrain']
    if pretrain:
        row.hours_pretrain = statistics.fmean(item.duration_s for item in pretrain) / 3600
        if all('loss' in item.metrics for item in pretrain):
            row.pretrain = _cell(pretrain, 'loss')
    recipes = {_recipe(item) for item in records if item.task != 'pretrain'}
    # Without the record of its pre-training the hours of a method are not known.
    if recipes and (pretrain or row.method == RANDOM):
        row.hours_total = (row.hours_pretrain or 0.0) + sum(
            statistics.fmean(item.duration_s for item in records if _recipe(item) == recipe)
            for recipe in recipes
        ) / 3600
    return row


def _cell(records: Sequence[Record], metric: str) -> Cell:
    ordered = tuple(sorted(records, key=lambda item: item.seed))
    values = [item.metrics[metric] for item in ordered]
    return Cell(
        statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, ordered
    )
