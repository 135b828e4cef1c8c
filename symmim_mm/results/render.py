"""The comparison table as CSV, Markdown and terminal output."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from symmim_mm.results.published import PublishedRow, published_rows
from symmim_mm.results.runs import dataset_name, is_official
from symmim_mm.results.table import COLUMNS, Cell, Row, Table
from symmim_mm.utils.text import format_hours

CSV_FIELDS = (
    'method', 'arch', 'pretrain_dataset', 'pretrain_config', 'pretrain_config_sha256', 'task',
    'dataset', 'config', 'config_sha256', 'metric', 'mean', 'std', 'n', 'seeds', 'chance',
    'mean_duration_s', 'runs',
)  # fmt: skip
COSTS = ('Epochs', 'Images seen', 'PFLOP', 'Device hours, pre-training', 'Device hours, all')
LEGEND = (
    'Percent; mean ± sample standard deviation over the seeds where there are several (n: where it '
    'differs from the rest), or of one seed the binomial standard error by its number of '
    'validation images. Bold: three seeds or more, and above every other value of the column by '
    "more than the 95 % interval of the difference reaches (Student's t, pooled variance of the "
    'two, not corrected for the number of rows). An empty cell was not run. Columns hold one '
    'transfer recipe each, rows one pre-training recipe each. Epochs, images and PFLOP are those '
    'of the pre-training; device hours are time x processes, “all” adds every transfer.'
)


def to_csv(tables: Iterable[Table]) -> str:
    """Return one line for every cell, at full precision."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_FIELDS, lineterminator='\n')
    writer.writeheader()
    for table in tables:
        for row in table.rows:
            if row.pretrain is not None:
                writer.writerow(_csv_line(table, row, 'loss', row.pretrain, None))
            for column, cell in row.cells.items():
                chance = table.chance.get(column)
                writer.writerow(_csv_line(table, row, column.metric, cell, chance))
    return out.getvalue()


def _csv_line(table: Table, row: Row, metric: str, cell: Cell, chance: float | None) -> dict:
    first = cell.records[0]
    # A row of trainings from scratch is named by their own config.
    pretrained = first.task == 'pretrain' or first.backbone_sha256 is not None
    line = {
        'method': row.method,
        'arch': first.arch,
        'pretrain_dataset': table.dataset if pretrained else '',
        'pretrain_config': row.config if pretrained else '',
        'pretrain_config_sha256': row.config_sha256 if pretrained else '',
        'task': first.task,
        'dataset': dataset_name(first),
        'config': first.config,
        'config_sha256': first.config_sha256,
        'runs': ' '.join(record.run for record in cell.records),
    }
    numbers = {
        'metric': metric,
        'mean': repr(cell.mean),
        'std': '' if cell.std is None else repr(cell.std),
        'n': cell.n,
        'seeds': ' '.join(str(record.seed) for record in cell.records),
        'chance': '' if chance is None else repr(chance),
        'mean_duration_s': repr(sum(record.duration_s for record in cell.records) / cell.n),
    }
    return {name: _no_formula(text) for name, text in line.items()} | numbers


def _no_formula(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(('=', '+', '-', '@', '\t', '\r')) else text


def published_for(table: Table) -> list[PublishedRow]:
    """Return the published rows of a table that is about ImageNet-1k itself, perhaps none.

    They are those of its architecture, on the datasets of columns that are the public ones.
    """
    official = {
        (cell.records[0].task, cell.records[0].dataset)
        for row in table.rows
        for cell in (row.pretrain, *row.cells.values())
        if cell and is_official(cell.records[0])
    }
    if ('pretrain', 'imagenet-1k') not in official:
        return []
    return published_rows(table.arch, {name for task, name in official if task != 'pretrain'})


def published_metrics(rows: Iterable[PublishedRow]) -> list[tuple[str, str, str]]:
    """Return task, metric and label of the columns that published rows have values in."""
    known = {(item.task, item.metric) for row in rows for item in row.items}
    return [item for item in COLUMNS if item[:2] in known]


def to_markdown(tables: Sequence[Table], notes: Iterable[str] = ()) -> str:
    """Return the tables as GitHub-flavored Markdown, the published numbers apart."""
    parts = ['# Results\n']
    for table in tables:
        lines = []
        for row in table.rows:
            cells = []
            for _, cell, best in table.iter_cells(row):
                text = table.text(cell) if cell else ''
                cells.append(f'**{text}**' if best else text)
            lines.append([_escape(row.label), *cells, *row_costs(row)])
        lines.append(['*chance*', *table.chance_texts(), *[''] * len(COSTS)])
        head = ['Method', *(_escape(column.label) for column in table.columns), *COSTS]
        parts.append(f'## {_escape(table.title)}\n\n' + _markdown(head, lines))
        if published := published_for(table):
            parts.append('### Published\n\n' + _published_markdown(published))
    parts.append(f'{LEGEND}\n')
    notes = ''.join(f'* {_escape(note)}\n' for note in notes)
    if notes:
        parts.append(f'## Notes\n\n{notes}')
    return '\n'.join(parts)


def row_costs(row: Row) -> list[str]:
    """Return what a row has cost, as ``COSTS`` says; empty where it is not known."""
    return [
        '' if row.epochs is None else f'{row.epochs:.4g}',
        '' if row.images is None else f'{row.images:,.0f}',
        '' if row.pflop is None else f'{row.pflop:.3g}' if row.pflop < 100 else f'{row.pflop:,.0f}',
        format_hours(row.hours_pretrain),
        format_hours(row.hours_total),
    ]


def _published_markdown(rows: Sequence[PublishedRow]) -> str:
    metrics = published_metrics(rows)
    lines = [
        [row.label, *(row.text(task, metric) for task, metric, _ in metrics), row.source]
        for row in rows
    ]
    head = ['Method', *(label for _, _, label in metrics), 'Source']
    return _markdown(head, [list(map(_escape, line)) for line in lines])


def _markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ['---'] + ['---:'] * (len(head) - 1)
    return ''.join('| ' + ' | '.join(row) + ' |\n' for row in (head, rule, *lines))


def _escape(text: str) -> str:
    """Return a text as Markdown that shows it: no tag, link, image, code or new cell."""
    text = re.sub(r'([\\`*\[\]|])', r'\\\1', ' '.join(text.split()))
    return text.replace('&', '&amp;').replace('<', '&lt;')


def to_terminal(tables: Iterable[Table]) -> list[RichTable]:
    """Return the tables for a ``rich`` console."""
    rendered = []
    for table in tables:
        rich = RichTable(
            title=Text(table.title), box=SIMPLE_HEAD, title_justify='left', title_style='bold'
        )
        rich.add_column('')
        for label in (*(column.label for column in table.columns), *COSTS):
            rich.add_column(Text(label), justify='right')
        for row in table.rows:
            cells = [
                Text(table.text(cell) if cell else '', 'bold' if best else '')
                for _, cell, best in table.iter_cells(row)
            ]
            rich.add_row(Text(row.label), *cells, *row_costs(row))
        rich.add_row('chance', *table.chance_texts(), style='dim')
        rendered.append(rich)
    return rendered
