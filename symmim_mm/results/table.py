"""Tables, their columns, rows and cells; :mod:`symmim_mm.results.tabulate` fills them."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from scipy.special import stdtrit

from symmim_mm.results.record import Record

# Task, metric and label of the columns.
COLUMNS = (
    ('finetune', 'top1', 'Fine-tune top-1'),
    ('linear', 'top1', 'Linear top-1'),
    ('attentive', 'top1', 'Attentive top-1'),
    ('knn', 'top1', 'k-NN top-1'),
    ('detection', 'box_ap', 'Box AP'),
    ('detection', 'mask_ap', 'Mask AP'),
    ('segmentation', 'miou', 'mIoU'),
    ('linear_segmentation', 'miou', 'Linear mIoU'),
)
LEAST_SEEDS = 3  # of which a spread says something
UNKNOWN = ('', '', '', '')  # config, hash, data and batch of a pre-training that has no record


@dataclass(frozen=True)
class Column:
    """A metric of one task; all records of the column share the ``recipe``."""

    task: str
    metric: str
    label: str
    recipe: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """Mean over seeds (percent) and sample standard deviation (``None`` for one seed).

    ``binomial`` is the standard error of a single accuracy by the number of its images.
    """

    mean: float
    std: float | None
    records: tuple[Record, ...]
    binomial: float | None = None

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.records)


@dataclass
class Row:
    """One method with one pre-training config. Costs are means over seeds, hours of devices."""

    method: str
    config: str
    config_sha256: str
    label: str
    cells: dict[Column, Cell] = field(default_factory=dict)
    hours_pretrain: float | None = None
    hours_total: float | None = None
    epochs: float | None = None
    images: float | None = None
    pflop: float | None = None
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
        """Return ``± 0.4``, and ``(n=2)`` where most cells have another number of seeds."""
        if cell.binomial is not None:
            return f'(± {cell.binomial:.1f} binomial)'
        std = '' if cell.std is None else f'± {cell.std:.1f}'
        count = '' if cell.n == self.seeds else f'(n={cell.n})'
        return f'{std} {count}'.strip()

    def text(self, cell: Cell) -> str:
        """Return a cell in one line, such as ``63.2 ± 0.4``."""
        return f'{cell.mean:.1f} {self.spread(cell)}'.strip()

    def best(self, column: Column) -> Cell | None:
        """Return the cell of a column that is above all its others, ``None`` if none is."""
        cells = [row.cells[column] for row in self.rows if column in row.cells]
        *others, first = sorted(cells, key=lambda cell: cell.mean)
        return first if others and all(is_above(first, cell) for cell in others) else None

    def top(self, column: Column) -> float:
        """Return the value that a full bar of a column stands for."""
        means = (row.cells[column].mean for row in self.rows if column in row.cells)
        return max(self.chance.get(column, 0.0), *means, 0.0) or 1.0

    def iter_cells(self, row: Row) -> Iterator[tuple[Column, Cell | None, bool]]:
        """Yield each column, the row's cell in it, and whether that is the best of the column."""
        for column in self.columns:
            cell = row.cells.get(column)
            yield column, cell, cell is not None and cell is self.best(column)

    def chance_texts(self) -> list[str]:
        """Return the level of blind guessing in each column, empty where unknown."""
        levels = map(self.chance.get, self.columns)
        return ['' if level is None else f'{level:.1f}' for level in levels]


def is_above(cell: Cell, other: Cell) -> bool:
    """Return whether a mean is above another one by more than the spread over seeds explains.

    That is more than half the 95 % interval of the difference, by Student's t with the pooled
    variance of both; ``LEAST_SEEDS`` of each are needed.
    """
    if cell.std is None or other.std is None or min(cell.n, other.n) < LEAST_SEEDS:
        return False
    freedom = cell.n + other.n - 2
    variance = ((cell.n - 1) * cell.std**2 + (other.n - 1) * other.std**2) / freedom
    error = (variance * (1 / cell.n + 1 / other.n)) ** 0.5
    return cell.mean - other.mean > float(stdtrit(freedom, 0.975)) * error
