"""The comparison table as CSV, Markdown and terminal output."""

import csv
import io
import re
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from symmim_mm.results import published
from symmim_mm.results.table import METHOD_NAMES, METRICS, Cell, Row, Table
from symmim_mm.utils.time_text import hours_text

CSV_FIELDS = (
    'method',
    'arch',
    'pretrain_dataset',
    'pretrain_config',
    'pretrain_config_sha256',
    'task',
    'dataset',
    'config',
    'config_sha256',
    'metric',
    'mean',
    'std',
    'n',
    'seeds',
    'chance',
    'mean_duration_s',
    'runs',
)
HOURS = ('Hours, pre-training', 'Hours, all')
NOT_COMPARABLE = 'Published results on ImageNet-1K, COCO and ADE20K'


def to_csv(tables: Sequence[Table]) -> str:
    """One line for every cell, at full precision."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_FIELDS, lineterminator='\n')
    writer.writeheader()
    for table in tables:
        for row in table.rows:
            if row.pretrain is not None:
                writer.writerow(_csv_line(table, row, 'loss', row.pretrain, None))
            for column, cell in row.cells.items():
                writer.writerow(
                    _csv_line(table, row, column.metric, cell, table.chance.get(column))
                )
    return out.getvalue()


def _csv_line(table: Table, row: Row, metric: str, cell: Cell, chance: float | None) -> dict:
    first = cell.records[0]
    durations = [record.duration_s for record in cell.records]
    return {
        'method': _cell_text(row.method),
        'arch': _cell_text(first.arch),
        'pretrain_dataset': _cell_text(table.dataset) if row.config else '',
        'pretrain_config': _cell_text(row.config),
        'pretrain_config_sha256': row.config_sha256,
        'task': first.task,
        'dataset': _cell_text(first.dataset),
        'config': _cell_text(first.config),
        'config_sha256': first.config_sha256,
        'metric': metric,
        'mean': repr(cell.mean),
        'std': '' if cell.std is None else repr(cell.std),
        'n': cell.n,
        'seeds': ' '.join(str(record.seed) for record in cell.records),
        'chance': '' if chance is None else repr(chance),
        'mean_duration_s': repr(sum(durations) / len(durations)),
        'runs': _cell_text(' '.join(record.run for record in cell.records)),
    }


def _cell_text(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(('=', '+', '-', '@', '\t', '\r')) else text


def published_for(table: Table) -> list[list[published.Published]]:
    """Published rows that a table's own columns can be read against, else an empty list."""
    datasets = published.DATASETS & {column.dataset for column in table.columns}
    return published.rows(published.size_of(table.arch), datasets) if datasets else []


def published_cells(row: Sequence[published.Published]) -> dict[tuple[str, str], str]:
    """Texts of a published row by (task, metric); recipes of one metric are told apart."""
    cells: dict[tuple[str, str], list[str]] = {}
    for item in row:
        text = f'{item.value:.1f}' + (f' ({item.recipe})' if item.recipe else '')
        cells.setdefault((item.task, item.metric), []).append(text)
    return {key: '; '.join(texts) for key, texts in cells.items()}


def published_label(row: Sequence[published.Published]) -> str:
    """Method, size and length of pre-training of a published row."""
    first = row[0]
    length = f', {first.epochs} epochs' if first.epochs else ''
    return f'{first.method} ViT-{first.size}{length}'


def published_sources(row: Sequence[published.Published]) -> str:
    """The sources of a published row, each once, in order."""
    return '; '.join(dict.fromkeys(item.source for item in row))


def to_markdown(tables: Sequence[Table], notes: Sequence[str] = ()) -> str:
    """The tables as GitHub-flavoured Markdown, the published numbers apart."""
    parts = ['# Results\n']
    for table in tables:
        head = ['Method', *(_escape(column.label) for column in table.columns), *HOURS]
        lines = []
        for row in table.rows:
            cells = []
            for column in table.columns:
                cell = row.cells.get(column)
                best = cell is not None and cell.mean == table.best(column)
                text = '' if cell is None else table.text(cell)
                cells.append(f'**{text}**' if best else text)
            lines.append(
                [
                    _escape(row.label),
                    *cells,
                    hours_text(row.hours_pretrain),
                    hours_text(row.hours_total),
                ]
            )
        lines.append(
            ['*chance*', *(_level(table.chance.get(column)) for column in table.columns), '', '']
        )
        parts.append(f'## {_escape(table.caption)}\n\n' + _markdown(head, lines))
        beside = published_for(table)
        if beside:
            parts.append('### Published\n\n' + _published_markdown(beside))
    parts.append(
        'Percent; mean ± sample standard deviation over the seeds where there are several '
        '(n: where it differs from the rest); '
        'bold is the highest mean of a column; an empty cell was not run.\n'
    )
    if not any(map(published_for, tables)):
        parts.append(
            f'## {NOT_COMPARABLE}\n\nOther data and far longer training: not to be '
            'compared with the numbers above.\n\n' + _published_markdown(published.rows())
        )
    if notes:
        parts.append('## Notes\n\n' + ''.join(f'* {_escape(note)}\n' for note in notes))
    return '\n'.join(parts)


def _published_markdown(rows: Sequence[Sequence[published.Published]]) -> str:
    head = ['Method', *(label for _, _, label in METRICS if label != 'k-NN top-1'), 'Source']
    keys = [(task, metric) for task, metric, _ in METRICS if task != 'knn']
    lines = []
    for row in rows:
        cells = published_cells(row)
        texts = [
            published_label(row),
            *(cells.get(key, '') for key in keys),
            published_sources(row),
        ]
        lines.append(list(map(_escape, texts)))
    return _markdown(head, lines)


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ['---'] + ['---:'] * (len(head) - 1)
    rows = [head, rule, *lines]
    return ''.join('| ' + ' | '.join(row) + ' |\n' for row in rows)


def _escape(text: str) -> str:
    """A text of a record as Markdown that shows it: no tag, link, picture, code or new cell."""
    text = re.sub(r'([\\`*\[\]|])', r'\\\1', ' '.join(text.split()))
    return text.replace('&', '&amp;').replace('<', '&lt;')


def _level(value: float | None) -> str:
    return '' if value is None else f'{value:.1f}'


def to_terminal(tables: Sequence[Table]) -> list[RichTable]:
    """The tables for a ``rich`` console."""
    rendered = []
    for table in tables:
        rich = RichTable(
            title=Text(table.caption), box=SIMPLE_HEAD, title_justify='left', title_style='bold'
        )
        rich.add_column('')
        for label in (*(column.label for column in table.columns), *HOURS):
            rich.add_column(Text(label), justify='right')
        for row in table.rows:
            texts = []
            for column in table.columns:
                cell = row.cells.get(column)
                best = cell is not None and cell.mean == table.best(column)
                texts.append(Text('' if cell is None else table.text(cell), 'bold' if best else ''))
            rich.add_row(
                Text(row.label), *texts, hours_text(row.hours_pretrain), hours_text(row.hours_total)
            )
        rich.add_row(
            'chance',
            *(_level(table.chance.get(column)) for column in table.columns),
            '',
            '',
            style='dim',
        )
        rendered.append(rich)
    return rendered


def method_name(method: str) -> str:
    """How a method is called in tables and on the page."""
    return METHOD_NAMES.get(method, method)
