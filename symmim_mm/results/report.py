"""One self-contained HTML page from records: table, curves, pictures, how it was obtained."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from symmim_mm.config import EVALUATION_TOOLS, TASKS, TRAIN_TOOL
from symmim_mm.results import published
from symmim_mm.results.curves import VALIDATION, Series, chart, read_curve
from symmim_mm.results.embedded_picture import embed
from symmim_mm.results.record import Record
from symmim_mm.results.render import (
    HOURS,
    NOT_COMPARABLE,
    method_name,
    published_cells,
    published_for,
    published_label,
    published_sources,
)
from symmim_mm.results.table import METHODS, METRICS, Table
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.paths import file_inside
from symmim_mm.utils.text import visible
from symmim_mm.utils.time_text import duration_text, hours_text, moment_text

MAX_PICTURES = 6
MOST_CURVE_BYTES = 1 << 28
TASK_TITLES = {
    'pretrain': 'Pre-training',
    'finetune': 'Fine-tuning',
    'linear': 'Linear probe',
    'knn': 'k-NN',
    'detection': 'Detection and instance segmentation',
    'segmentation': 'Semantic segmentation',
}
PANELS = {
    'pretrain': ('Reconstructions', 'Each: input, masked input, reconstruction.'),
    'detection': ('Detections', 'Each: annotated objects, predicted objects.'),
    'segmentation': ('Segmentations', 'Each: picture, annotation, prediction.'),
}


@dataclass(frozen=True)
class Run:
    """A record and the directory it was found in."""

    record: Record
    folder: Path


def render_page(
    title: str,
    runs: Sequence[Run],
    tables: Sequence[Table],
    notes: Sequence[str],
    problems: list[str],
) -> str:
    """Render the page. What is missing or broken is appended to ``problems``, a line each."""
    runs = sorted(
        runs,
        key=lambda run: (
            *method_order(run.record.method),
            run.record.seed,
            TASKS.index(run.record.task),
            run.record.run,
        ),
    )
    slots = _slots(runs)
    curves = _curve_sections(runs, slots, problems)
    pictures = _picture_sections(runs, problems)
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
        last=max((moment_text(run.record.finished) for run in runs), default=''),
        tables=[_table(table) for table in tables],
        curves=curves,
        pictures=pictures,
        facts=_facts(runs),
        runs=[_run(run) for run in runs],
        commands=_commands(runs),
        notes=notes,
        problems=problems,
        published=None if comparable else _published(published.rows()),
        published_title=NOT_COMPARABLE,
    )


def method_order(method: str) -> tuple[int, str]:
    """Sorting key: the suite's own methods first, then the others by name."""
    return METHODS.index(method) if method in METHODS else len(METHODS), method


def _slots(runs: Sequence[Run]) -> dict[str, int]:
    """Colour number of each method: fixed for the known ones, then in order, eight in all."""
    others = sorted({run.record.method for run in runs} - set(METHODS))
    return {method: index % 8 for index, method in enumerate((*METHODS, *others))}


def _table(table: Table) -> dict[str, Any]:
    tops = {
        column: max(
            [row.cells[column].mean for row in table.rows if column in row.cells]
            + [table.chance.get(column, 0.0)],
            default=0.0,
        )
        for column in table.columns
    }
    rows = []
    for row in table.rows:
        cells = []
        for column in table.columns:
            cell = row.cells.get(column)
            if cell is None:
                cells.append(None)
                continue
            share = cell.mean / tops[column] if tops[column] else 0.0
            cells.append(
                {
                    'mean': f'{cell.mean:.1f}',
                    'best': cell.mean == table.best(column),
                    'spread': f'{cell.spread} {table.count(cell)}'.strip(),
                    'share': f'{100 * share:.1f}',
                    'runs': ', '.join(item.run for item in cell.records),
                }
            )
        rows.append(
            {
                'label': row.label,
                'method': row.method,
                'cells': cells,
                'hours': [hours_text(row.hours_pretrain), hours_text(row.hours_total)],
            }
        )
    levels = [table.chance.get(column) for column in table.columns]
    return {
        'title': table.caption,
        'head': [*(column.label for column in table.columns), *HOURS],
        'rows': rows,
        'chance': ['' if level is None else f'{level:.1f}' for level in levels],
        'published': _published(published_for(table)) if published_for(table) else None,
    }


def _published(rows: Sequence[Sequence[published.Published]]) -> dict[str, Any]:
    known = {(item.task, item.metric) for row in rows for item in row}
    columns = [(task, metric, label) for task, metric, label in METRICS if (task, metric) in known]
    lines = [
        {
            'label': published_label(row),
            'source': published_sources(row),
            'cells': [published_cells(row).get(column[:2], '') for column in columns],
        }
        for row in rows
    ]
    return {'head': [label for _, _, label in columns], 'rows': lines}


def _settings(runs: Sequence[Run]) -> dict[tuple[str, str], list[Run]]:
    """Runs by (task, data set), in the order of the tasks."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.record.task, run.record.dataset), []).append(run)
    return dict(sorted(groups.items(), key=lambda item: (TASKS.index(item[0][0]), item[0][1])))


def _heading(text: str, dataset: str, datasets: int) -> str:
    return f'{text}, {dataset}' if datasets > 1 else text


def _curve_sections(
    runs: Sequence[Run], slots: dict[str, int], problems: list[str]
) -> list[dict[str, Any]]:
    sections = []
    settings = _settings(runs)
    datasets = len({dataset for _, dataset in settings})
    for (task, dataset), group in settings.items():
        losses, values, chances = [], [], set()
        key, _, label = VALIDATION.get(task, ('', 1.0, ''))
        for run in group:
            if run.record.curve is None:
                continue
            try:
                path = file_inside(run.folder, run.record.curve, MOST_CURVE_BYTES)
                curve = read_curve(path, task)
            except UserError as error:
                problems.append(f'loss curve left out: {error}')
                continue
            name = f'{method_name(run.record.method)}, seed {run.record.seed}'
            losses.append(Series(name, slots[run.record.method], curve.loss))
            values.append(Series(name, slots[run.record.method], curve.validation))
            main = {'detection': 'box_ap', 'segmentation': 'miou'}.get(task, 'top1')
            if main in run.record.chance:
                chances.add(run.record.chance[main])
        charts = [chart(losses, 'iteration', 'loss')]
        if key:
            values = [item for item in values if len(item.points) > 1]
            charts.append(
                chart(
                    values, 'validation step', label, chances.pop() if len(chances) == 1 else None
                )
            )
        labels = ['Loss', label[:1].upper() + label[1:]]
        # Built by our own function, which escapes every text it is given.
        shown = [(text, Markup(svg)) for text, svg in zip(labels, charts, strict=False) if svg]
        if shown:
            methods = list(dict.fromkeys(run.record.method for run in group))
            sections.append(
                {
                    'title': _heading(TASK_TITLES[task], dataset, datasets),
                    'charts': shown,
                    'legend': [(method_name(method), slots[method]) for method in methods],
                    'note': 'The methods minimise different losses: compare the shape, not the height.'
                    if task == 'pretrain'
                    else '',
                }
            )
    return sections


def _picture_sections(runs: Sequence[Run], problems: list[str]) -> list[dict[str, Any]]:
    sections = []
    settings = _settings(runs)
    datasets = len({dataset for _, dataset in settings})
    for (task, dataset), group in settings.items():
        columns = [run for run in _first_seeds(group) if run.record.pictures]
        if task not in PANELS or not columns:
            continue
        names = list(
            dict.fromkeys(Path(name).name for run in columns for name in run.record.pictures)
        )
        methods = [run.record.method for run in columns]
        heads = [
            method_name(run.record.method)
            if methods.count(run.record.method) == 1
            else run.record.run
            for run in columns
        ]
        rows = []
        for name in names[:MAX_PICTURES]:
            cells = []
            for run, head in zip(columns, heads, strict=True):
                files = [item for item in run.record.pictures if Path(item).name == name]
                data = embed(run.folder, files[0], problems) if files else None
                cells.append({'data': data, 'alt': f'{head}: {name}', 'head': head})
            rows.append(cells)
        title, caption = PANELS[task]
        sections.append(
            {
                'title': _heading(title, dataset, datasets),
                'caption': caption,
                'heads': heads,
                'rows': rows,
            }
        )
    return sections


def _first_seeds(group: Sequence[Run]) -> list[Run]:
    lowest: dict[str, int] = {}
    for run in group:
        method, seed = run.record.method, run.record.seed
        lowest[method] = min(seed, lowest.get(method, seed))
    return [run for run in group if run.record.seed == lowest[run.record.method]]


def _facts(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Distinct machines and software versions, each with the number of its runs."""
    gathered: dict[str, dict[str, Any]] = {}
    for run in runs:
        machine, versions = run.record.hardware, run.record.versions
        gpus, processes = machine.get('gpus') or 0, machine.get('world_size') or 1
        text = (
            f'{machine.get("cpu", "unknown processor")}, {machine.get("cores", "?")} cores, '
            + (f'{gpus} × {machine.get("gpu")}' if gpus else 'no GPU')
            + (f', {processes} processes' if processes > 1 else '')
        )
        software = ', '.join(f'{name} {version}' for name, version in versions.items())
        entry = gathered.setdefault(
            f'{text}\n{software}', {'hardware': text, 'software': software, 'count': 0}
        )
        entry['count'] += 1
    return list(gathered.values())


def _run(run: Run) -> dict[str, Any]:
    record = run.record
    return {
        'run': record.run,
        'config': record.config,
        'config_sha256': record.config_sha256,
        'arch': record.arch,
        'dataset': record.dataset,
        'seed': record.seed,
        'checkpoint': record.checkpoint,
        'checkpoint_sha256': record.checkpoint_sha256,
        'backbone_sha256': record.backbone_sha256,
        'parent': record.parent,
        'images': '' if record.images is None else f'{record.images:,}',
        'duration': duration_text(record.duration_s),
        'memory': '' if record.peak_memory_mib is None else f'{record.peak_memory_mib:,.0f}',
        'finished': record.finished,
    }


def _commands(runs: Sequence[Run]) -> str:
    files = {
        run.record.checkpoint_sha256: _shown(run.folder) / run.record.checkpoint
        for run in runs
        if run.record.checkpoint
    }
    lines = []
    for run in sorted(runs, key=lambda item: item.record.task != 'pretrain'):
        record = run.record
        # An evaluation of frozen features leaves no checkpoint.
        evaluation = None if record.checkpoint else EVALUATION_TOOLS.get(record.task)
        words = [
            'python',
            evaluation or TRAIN_TOOL,
            record.config,
            '--work-dir',
            str(_shown(run.folder)),
            '--seed',
            str(record.seed),
        ]
        backbone = files.get(record.backbone_sha256, record.backbone)
        if record.backbone_sha256 and backbone:
            words += ['--backbone', str(backbone)]
        lines.append(visible(shlex.join(words)))
    return '\n'.join(lines)


def _shown(folder: Path) -> Path:
    try:
        return folder.resolve().relative_to(Path.cwd())
    except ValueError:
        return folder
