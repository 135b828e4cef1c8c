"""One self-contained HTML page from records: table, curves, images, how it was obtained."""

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from symmim_mm.config import EVALUATIONS
from symmim_mm.results.curves import curve_sections
from symmim_mm.results.figures import figure_sections
from symmim_mm.results.published import PublishedRow, published_rows
from symmim_mm.results.record import Record
from symmim_mm.results.render import (
    HOURS,
    NOT_COMPARABLE,
    published_for,
    published_metrics,
    row_hours,
)
from symmim_mm.results.runs import RecordedRun, sort_runs
from symmim_mm.results.table import Table
from symmim_mm.utils.text import format_duration, format_time, visible


def render_page(
    title: str,
    runs: Sequence[RecordedRun],
    tables: Sequence[Table],
    notes: Sequence[str],
    problems: list[str],
) -> str:
    """Render the page.

    Args:
        title: names of the collected folders.
        runs: in any order.
        tables: of these runs.
        notes: lines about the runs that the page shows.
        problems: gets a line for each curve and image that is missing or broken.
    """
    runs = sort_runs(runs)
    curves = curve_sections(runs, problems)
    figures = figure_sections(runs, problems)
    problems[:] = map(visible, problems)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    comparable = any(map(published_for, tables))
    return environment.get_template('report.html.j2').render(
        title=title,
        last=max((format_time(run.record.finished) for run in runs), default=''),
        tables=[_table(table) for table in tables],
        curves=curves,
        figures=figures,
        facts=_facts(runs),
        runs=[_run(run.record) for run in runs],
        commands=_commands(runs),
        notes=notes,
        problems=problems,
        published=None if comparable else _published(published_rows()),
        published_title=NOT_COMPARABLE,
    )


def _table(table: Table) -> dict[str, Any]:
    tops = {
        column: max(
            table.chance.get(column, 0.0),
            *(row.cells[column].mean for row in table.rows if column in row.cells),
            0.0,
        )
        for column in table.columns
    }
    rows = []
    for row in table.rows:
        cells = [
            {
                'mean': f'{cell.mean:.1f}',
                'best': best,
                'spread': table.spread(cell),
                'share': f'{100 * cell.mean / (tops[column] or 1):.1f}',
                'runs': ', '.join(record.run for record in cell.records),
            }
            if cell
            else None
            for column, cell, best in table.iter_cells(row)
        ]
        rows.append(
            {'label': row.label, 'method': row.method, 'cells': cells, 'hours': row_hours(row)}
        )
    published = published_for(table)
    return {
        'title': table.title,
        'head': [*(column.label for column in table.columns), *HOURS],
        'rows': rows,
        'chance': table.chance_texts(),
        'published': _published(published) if published else None,
    }


def _published(rows: Sequence[PublishedRow]) -> dict[str, Any]:
    metrics = published_metrics(rows)
    lines = [
        {
            'label': row.label,
            'source': row.source,
            'cells': [row.text(task, metric) for task, metric, _ in metrics],
        }
        for row in rows
    ]
    return {'head': [label for _, _, label in metrics], 'rows': lines}


def _facts(runs: Sequence[RecordedRun]) -> list[dict[str, Any]]:
    """Return the distinct machines with their software, each with the number of its runs."""
    counts: Counter[tuple[str, str]] = Counter()
    for run in runs:
        machine = run.record.hardware
        parts = [machine.cpu or 'unknown processor', f'{machine.cores or "?"} cores']
        parts.append(f'{machine.gpus} × {machine.gpu}' if machine.gpus else 'no GPU')
        if (machine.world_size or 1) > 1:
            parts.append(f'{machine.world_size} processes')
        software = (f'{name} {version}' for name, version in run.record.versions.items())
        counts[', '.join(parts), ', '.join(software)] += 1
    return [
        {'hardware': hardware, 'software': software, 'count': count}
        for (hardware, software), count in counts.items()
    ]


def _run(record: Record) -> dict[str, Any]:
    return record.model_dump() | {
        'images': '' if record.images is None else f'{record.images:,}',
        'duration': format_duration(record.duration_s),
        'memory': '' if record.peak_memory_mib is None else f'{record.peak_memory_mib:,.0f}',
    }


def _commands(runs: Sequence[RecordedRun]) -> str:
    """Return the commands that repeat the runs, pre-trainings first."""
    files = {
        run.record.checkpoint_sha256: _from_here(run.folder) / run.record.checkpoint
        for run in runs
        if run.record.checkpoint
    }
    lines = []
    for run in sorted(runs, key=lambda item: item.record.task != 'pretrain'):
        record = run.record
        # An evaluation of frozen features leaves no checkpoint.
        evaluates = record.task in EVALUATIONS and not record.checkpoint
        words = ['symmim', record.task if evaluates else 'train', record.config]
        words += ['--work-dir', str(_from_here(run.folder)), '--seed', str(record.seed)]
        backbone = files.get(record.backbone_sha256, record.backbone)
        if record.backbone_sha256 and backbone:
            words += ['--backbone', str(backbone)]
        lines.append(visible(shlex.join(words)))
    return '\n'.join(lines)


def _from_here(folder: Path) -> Path:
    try:
        return folder.resolve().relative_to(Path.cwd())
    except ValueError:
        return folder
