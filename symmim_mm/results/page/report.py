"""One self-contained HTML page from records: table, curves, images, how it was obtained."""

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from symmim_mm.config import EVALUATIONS, PREDICTING
from symmim_mm.results.page.chart import TEMPLATES
from symmim_mm.results.page.curves import curve_sections
from symmim_mm.results.page.figures import figure_sections
from symmim_mm.results.render import COSTS, LEGEND, published_for, published_metrics, row_costs
from symmim_mm.results.runs import RecordedRun, data_key, dataset_name, sort_runs
from symmim_mm.results.table import Table
from symmim_mm.utils.text import counted, format_duration, format_time, visible


def render_page(
    title: str,
    runs: Sequence[RecordedRun],
    tables: Sequence[Table],
    notes: Sequence[str],
    problems: list[str],
    progress: str = '',
) -> str:
    """Render the page of ``runs`` and their ``tables``; ``notes`` are lines that it shows.

    ``problems`` gets a line for each curve and image that is missing or broken. ``progress`` is how
    far an unfinished run is: the page then loads itself again.
    """
    runs = sort_runs(runs)
    curves = curve_sections(runs, problems)
    figures = figure_sections(runs, problems)
    problems[:] = map(visible, problems)
    return TEMPLATES.get_template('report.html.j2').render(
        format_duration=format_duration,
        row_costs=row_costs,
        dataset_name=dataset_name,
        data_key=data_key,
        published_metrics=published_metrics,
        costs_heads=COSTS,
        title=title,
        progress=progress,
        legend=LEGEND,
        last=max((format_time(run.record.finished) for run in runs), default=''),
        # A table without a cell compares nothing.
        tables=[(t, published_for(t)) for t in tables if any(row.cells for row in t.rows)],
        curves=curves,
        figures=figures,
        facts=_facts(runs),
        runs=[run.record for run in runs],
        commands=_commands(runs),
        next=next_commands(runs[0]) if len(runs) == 1 else [],
        notes=notes,
        problems=problems,
    )


def _facts(runs: Sequence[RecordedRun]) -> list[tuple[str, str, int]]:
    """Return the distinct machines, their software, and the number of runs of each."""
    counts: Counter[tuple[str, str]] = Counter()
    for run in runs:
        machine = run.record.hardware
        parts = [machine.cpu or 'unknown processor']
        parts.append(counted(machine.cores, 'core') if machine.cores else '? cores')
        parts.append(f'{machine.gpus} × {machine.gpu}' if machine.gpus else 'no GPU')
        if (machine.world_size or 1) > 1:
            parts.append(f'{machine.world_size} processes')
        software = (f'{name} {version}' for name, version in run.record.versions.items())
        counts[', '.join(parts), ', '.join(software)] += 1
    return [(*fact, count) for fact, count in counts.items()]


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
        if record.backbone_sha256 and backbone and not record.backbone_in_config:
            words += ['--backbone', str(backbone)]
        words += _options(record.overrides or ())
        lines.append(visible(shlex.join(words)))
    return '\n'.join(lines)


def _options(overrides: Sequence[str]) -> list[str]:
    """Return the options of a command line that change a config so."""
    pairs = [item.partition('=') for item in overrides]
    words = []
    for name, _, value in pairs:
        if name.startswith('--'):
            words += [name] if value == 'True' else [name, value]
    changes = [f'{name}={value}' for name, _, value in pairs if not name.startswith('--')]
    return [*words, '--cfg-options', *changes] if changes else words


def next_commands(run: RecordedRun) -> list[tuple[str, str]]:
    """Return what can be done with a run, and the command that does it."""
    record, folder = run.record, _from_here(run.folder)
    file = _quoted(folder / str(record.checkpoint))
    found = []
    if record.task == 'pretrain' and record.checkpoint:
        found = [
            ('The encoder for timm', f'symmim export {file} encoder --format timm'),
            ('The features of images', f'symmim embed {file} IMAGES --out features.npz'),
            ('Classes, from folders', f'symmim finetune FOLDER --backbone {file}'),
        ]
        if record.channels == 3:
            found += [
                ('Objects', f'symmim detect COCO.json IMAGES --backbone {file}'),
                ('Label maps', f'symmim segment IMAGES MASKS --backbone {file}'),
            ]
    elif record.task in PREDICTING and record.checkpoint:
        found = [('Other images', f'symmim predict {_quoted(folder)} IMAGES')]
    return found


def _quoted(path: Path) -> str:
    return visible(shlex.quote(str(path)))


def _from_here(folder: Path) -> Path:
    try:
        return folder.resolve().relative_to(Path.cwd())
    except ValueError:
        return folder
