"""Training curves: MMEngine's scalar files, read and drawn for the report page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symmim_mm.results.metrics import METRICS
from symmim_mm.results.page.chart import HEIGHT, WIDTH, Points, Series, chart
from symmim_mm.results.record import is_number
from symmim_mm.results.runs import RecordedRun, color_slots, group_runs, method_name
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.paths import file_inside

MOST_BYTES = 1 << 28
# Less than this is drawn as zero: quotients of smaller numbers leave the range of floats.
SMALLEST = 1e-100
TITLES = {
    'pretrain': 'Pre-training',
    'finetune': 'Fine-tuning',
    'linear': 'Linear probe',
    'attentive': 'Attentive probe',
    'knn': 'k-NN',
    'detection': 'Detection and instance segmentation',
    'segmentation': 'Semantic segmentation',
    'linear_segmentation': 'Semantic segmentation, linear probe',
}


# Task -> the metric that is drawn over validations, and the title of its chart.
VALIDATION = {
    'finetune': ('top1', 'Validation top-1 (%)'),
    'linear': ('top1', 'Validation top-1 (%)'),
    'attentive': ('top1', 'Validation top-1 (%)'),
    'detection': ('box_ap', 'Validation box AP (%)'),
    'segmentation': ('miou', 'Validation mIoU (%)'),
    'linear_segmentation': ('miou', 'Validation mIoU (%)'),
}


# What `HealthHook` (`symmim_mm/models/health.py`) and `KnnHook` log of a pre-training, and titles.
HEALTH = {
    'knn': 'k-NN top-1 (%)',
    'rank': 'Effective rank of the features',
    'std': 'Spread of the features (0: collapsed)',
    'accuracy': 'Contrast: accuracy (%)',
    'positive': 'Contrast: cosine with the own key',
    'negative': 'Contrast: cosine with other keys',
    'gradient_ratio': 'Gradient: contrast / reconstruction',
}
SMALL = (260, 170)


def read_curve(path: Path, wanted: Mapping[str, tuple[str, float]]) -> dict[str, Points]:
    """Read a run's scalar file: JSON lines as MMEngine's ``LocalVisBackend`` writes them.

    ``wanted`` are the name of a scalar and a factor by title, and the points that are returned
    (step, value) those of each.

    Raises:
        UserError: the file cannot be read or one of its lines is not a JSON object.
    """
    curve: dict[str, Points] = {title: [] for title in wanted}
    try:
        for line in filter(str.strip, path.read_text(encoding='utf-8').splitlines()):
            values = json.loads(line)
            step = values.get('step')
            for title, (name, factor) in wanted.items():
                value = values.get(name)
                if is_number(step) and is_number(value):
                    shown = value * factor if abs(value) > SMALLEST else 0.0
                    curve[title].append((float(step), shown))
    except OSError as error:
        raise UserError(f'{path}: cannot be read: {error.strerror}') from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f'{path}: not a file of JSON lines: {error}') from error
    return curve


def curve_sections(runs: Sequence[RecordedRun], problems: list[str]) -> list[dict[str, Any]]:
    """Return the page's curves by task and dataset, runs in the order of the legend.

    ``problems`` gets a line for each curve that cannot be read.
    """
    slots = color_slots(runs)
    sections = []
    for task, dataset, group in group_runs(runs):
        metric, validation = VALIDATION.get(task, ('', ''))
        wanted = {'Loss': ('loss', 1.0)} | ({validation: METRICS[metric]} if metric else {})
        wanted |= {title: (f'health/{name}', 1.0) for name, title in HEALTH.items()}
        lines: dict[str, list[Series]] = {title: [] for title in wanted}
        for run in group:
            record = run.record
            if record.curve is None:
                continue
            try:
                curve = read_curve(file_inside(run.folder, record.curve, MOST_BYTES), wanted)
            except UserError as error:
                problems.append(f'loss curve left out: {error}')
                continue
            name, slot = f'{method_name(record.method)}, seed {record.seed}', slots[record.method]
            for title, points in curve.items():
                if title != validation or len(points) > 1:
                    lines[title].append(Series(name, slot, points))
        chances = {run.record.chance[metric] for run in group if metric in run.record.chance}
        drawn: list[tuple[str, str]] = []
        small: list[tuple[str, str]] = []
        for title, series in lines.items():
            is_small = title in HEALTH.values()
            level = next(iter(chances)) if title == validation and len(chances) == 1 else None
            x = 'validation step' if title == validation else 'iteration'
            svg = chart(series, x, title, level, SMALL if is_small else (WIDTH, HEIGHT))
            if svg:
                (small if is_small else drawn).append((title, svg))
        if drawn or small:
            methods = dict.fromkeys(run.record.method for run in group)
            note = 'The methods minimize different losses: compare the shape, not the height.'
            sections.append(
                {
                    'title': f'{TITLES[task]}, {dataset}' if dataset else TITLES[task],
                    'charts': drawn,
                    'small': small,
                    'legend': [(method_name(method), slots[method]) for method in methods],
                    'note': note if task == 'pretrain' and len(methods) > 1 else '',
                }
            )
    return sections
