"""Training curves: MMEngine's scalar files, read and drawn for the report page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from symmim_mm.results.chart import Points, Series, chart
from symmim_mm.results.metrics import METRICS
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


# Task -> the metric that is drawn over validations, and its label.
VALIDATION = {
    'finetune': ('top1', 'Validation top-1 (%)'),
    'linear': ('top1', 'Validation top-1 (%)'),
    'attentive': ('top1', 'Validation top-1 (%)'),
    'detection': ('box_ap', 'Validation box AP (%)'),
    'segmentation': ('miou', 'Validation mIoU (%)'),
    'linear_segmentation': ('miou', 'Validation mIoU (%)'),
}


# What `HealthHook` (`symmim_mm/models/health.py`) and `KnnHook` log of a pre-training, and labels.
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


@dataclass
class Curve:
    """``loss`` and ``health`` over iterations, validation (percent) over the validation step."""

    loss: Points = field(default_factory=list)
    validation: Points = field(default_factory=list)
    health: dict[str, Points] = field(default_factory=lambda: {name: [] for name in HEALTH})


def read_curve(path: Path, task: str) -> Curve:
    """Read a run's scalar file: JSON lines as MMEngine's ``LocalVisBackend`` writes them.

    Raises:
        UserError: the file cannot be read or one of its lines is not a JSON object.
    """
    curve = Curve()
    wanted = [('loss', 1.0, curve.loss)]
    wanted += [(f'health/{name}', 1.0, points) for name, points in curve.health.items()]
    if task in VALIDATION:
        metric, _ = VALIDATION[task]
        wanted.append((*METRICS[metric], curve.validation))
    try:
        for line in filter(str.strip, path.read_text(encoding='utf-8').splitlines()):
            values = json.loads(line)
            step = values.get('step')
            for name, factor, points in wanted:
                value = values.get(name)
                if is_number(step) and is_number(value):
                    points.append((float(step), value * factor if abs(value) > SMALLEST else 0.0))
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
        losses, values, chances = [], [], set()
        health: dict[str, list[Series]] = {name: [] for name in HEALTH}
        metric, label = VALIDATION.get(task, ('', ''))
        for run in group:
            record = run.record
            if record.curve is None:
                continue
            try:
                curve = read_curve(file_inside(run.folder, record.curve, MOST_BYTES), task)
            except UserError as error:
                problems.append(f'loss curve left out: {error}')
                continue
            name, slot = f'{method_name(record.method)}, seed {record.seed}', slots[record.method]
            losses.append(Series(name, slot, curve.loss))
            if len(curve.validation) > 1:
                values.append(Series(name, slot, curve.validation))
            for figure, points in curve.health.items():
                health[figure].append(Series(name, slot, points))
            if metric in record.chance:
                chances.add(record.chance[metric])
        charts = {'Loss': chart(losses, 'iteration', 'loss')}
        level = chances.pop() if len(chances) == 1 else None
        charts[label] = chart(values, 'validation step', label, level)
        small = {
            HEALTH[name]: chart(series, 'iteration', HEALTH[name], size=SMALL)
            for name, series in health.items()
        }
        # Built by our own function, which escapes every string it is given.
        drawn, drawn_small = (
            [(label, Markup(svg)) for label, svg in each.items() if svg] for each in (charts, small)
        )
        if drawn or drawn_small:
            methods = dict.fromkeys(run.record.method for run in group)
            note = 'The methods minimize different losses: compare the shape, not the height.'
            sections.append(
                {
                    'title': f'{TITLES[task]}, {dataset}' if dataset else TITLES[task],
                    'charts': drawn,
                    'small': drawn_small,
                    'legend': [(method_name(method), slots[method]) for method in methods],
                    'note': note if task == 'pretrain' and len(methods) > 1 else '',
                }
            )
    return sections
