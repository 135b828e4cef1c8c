"""Tables of a study of conditions (docs/evidence.md), from records alone.

A condition is a method of a suite, a score is a metric on one transfer. Where a transfer was made
at several learning rates, the rate of a condition is chosen by the accuracy on held-out training
images; test images choose nothing.
"""

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from scipy import stats

from symmim_mm.results.record import FILE_NAME, Record, find_records
from symmim_mm.utils.files import write_atomic

HELD_OUT = 'held_out_top1'
SETTINGS = (
    'weight_1', 'weight_003', 'dense', 'plain_pixels', 'same_views', 'fixed_parity',
    'class_token', 'temperature_1', 'constant_ema', 'clip_1', 'block_2',
)  # fmt: skip
"""Conditions of study (b) that change one setting of `checkerboard_contrast`."""
EPOCHS = (12, 24, 48)
"""Lengths of study (d)."""
COMPARISONS = (
    ('checkerboard', 'random50'),
    ('checkerboard', 'mae'),
    ('checkerboard_contrast', 'checkerboard'),
    ('random50_contrast', 'random50'),
    ('checkerboard_contrast_whole', 'checkerboard_contrast'),
    ('contrast', 'checkerboard_contrast'),
    ('simmim', 'checkerboard'),
    ('symmim_literal', 'checkerboard'),
    *((setting, 'checkerboard_contrast') for setting in SETTINGS),
    *(
        (f'checkerboard_contrast_{epochs}', longest)
        for longest in ('mae_48', 'simmim_48')
        for epochs in EPOCHS
    ),
)
"""The planned comparisons of docs/evidence.md: the first condition less the second."""


@dataclass(frozen=True)
class Score:
    """Test accuracies of one condition on one transfer, by seed, at the chosen recipe."""

    values: dict[int, float]
    recipe: str

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values.values())

    @property
    def text(self) -> str:
        """``47.6 ± 0.4``, the sample standard deviation over seeds, or ``47.6`` for one seed."""
        values = list(self.values.values())
        spread = f' ± {statistics.stdev(values):.1f}' if len(values) > 1 else ''
        return f'{self.mean:.1f}{spread}'


Scores = dict[str, dict[str, Score]]
"""By transfer (``'linear'``, ``'finetune, cifar10, 1 % of the labels'``), then by condition."""


def scores_of(records: Iterable[Record]) -> Scores:
    """Choose the recipe of every condition on every transfer and take its test accuracies.

    A condition counts for a transfer with the seeds for which every recipe of that transfer, as
    any condition had it, is finished: the choice is among the same rates for all.
    """
    grouped: dict[str, dict[str, dict[str, dict[int, Record]]]] = {}
    for record in records:
        if 'top1' in record.metrics:
            conditions = grouped.setdefault(f'{record.task}, {record.dataset}', {})
            recipes = conditions.setdefault(record.method, {})
            recipes.setdefault(record.config, {})[record.seed] = record
    scores: Scores = {}
    for name, conditions in sorted(grouped.items()):
        configs = sorted({config for recipes in conditions.values() for config in recipes})
        for condition, recipes in conditions.items():
            runs = [recipes.get(config, {}) for config in configs]
            if seeds := sorted(set(runs[0]).intersection(*runs)):
                scores.setdefault(name, {})[condition] = _score(runs, seeds)
    return scores


def _score(runs: list[dict[int, Record]], seeds: list[int]) -> Score:
    """Score of the recipe with the best mean held-out accuracy over ``seeds``."""
    chosen = runs[0]
    if len(runs) > 1:
        chosen = max(
            runs,
            key=lambda run: statistics.fmean(run[seed].metrics[HELD_OUT] for seed in seeds),
        )
    values = {seed: chosen[seed].metrics['top1'] for seed in seeds}
    return Score(values, PurePosixPath(chosen[seeds[0]].config).stem)


@dataclass(frozen=True)
class Difference:
    """One condition less another; interval and p-value only where seeds were repeated."""

    first: str
    second: str
    points: float
    half_width: float | None = None
    p: float | None = None


def compare(scores: dict[str, Score]) -> list[Difference]:
    """Make the planned comparisons of one transfer.

    The variance over seeds is pooled over all conditions (one-way analysis of variance); intervals
    hold 95 % by Student's t, p-values are two-sided and corrected after Holm for all comparisons
    that could be made.
    """
    freedom = sum(len(score.values) - 1 for score in scores.values())
    deviations = [v - score.mean for score in scores.values() for v in score.values.values()]
    found = []
    for first, second in COMPARISONS:
        if first not in scores or second not in scores:
            continue
        one, other = scores[first], scores[second]
        points, half, p = one.mean - other.mean, None, None
        if freedom:
            variance = sum(d * d for d in deviations) / freedom
            error = (variance * (1 / len(one.values) + 1 / len(other.values))) ** 0.5
            half = float(stats.t.ppf(0.975, freedom)) * error
            p = float(2 * stats.t.sf(abs(points) / error, freedom)) if error else None
        found.append(Difference(first, second, points, half, p))
    return _holm(found)


def _holm(differences: list[Difference]) -> list[Difference]:
    """Correct the p-values of one family after Holm (1979)."""
    tested = sorted((d for d in differences if d.p is not None), key=lambda d: d.p)
    corrected: dict[tuple[str, str], float] = {}
    largest = 0.0
    for rank, item in enumerate(tested):
        largest = max(largest, min(1.0, item.p * (len(tested) - rank)))
        corrected[item.first, item.second] = largest
    return [
        Difference(d.first, d.second, d.points, d.half_width, corrected.get((d.first, d.second)))
        for d in differences
    ]


def accuracy_table(records: Sequence[Record]) -> str:
    """Make the Markdown table of accuracies: a row per condition, a column per transfer."""
    scores = scores_of(records)
    if not scores:
        return 'No run has finished yet.'
    minutes: dict[str, list[float]] = {}
    teraflop: dict[str, str] = {}
    for record in records:
        if record.task == 'pretrain':
            minutes.setdefault(record.method, []).append(record.duration_s / 60)
            if record.flops_per_image:
                teraflop[record.method] = f'{record.images * record.flops_per_image / 1e12:.1f}'
    counted = ['TFLOP'] if teraflop else []  # the oldest records count none
    rows = [['condition', *scores, 'pre-training, minutes', *counted, 'seeds']]
    for condition in dict.fromkeys(record.method for record in _by_start(records)):
        cells = [by.get(condition) for by in scores.values()]
        if not any(cells):
            continue
        spent = minutes.get(condition)
        rows.append([
            f'`{condition}`',
            *(_cell(score) for score in cells),
            f'{statistics.fmean(spent):.0f}' if spent else '',
            *(teraflop.get(condition, '') for _ in counted),
            str(max(len(score.values) for score in cells if score)),
        ])  # fmt: skip
    return '\n'.join(_markdown(rows))


def _by_start(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: datetime.fromisoformat(record.started))


def _cell(score: Score | None) -> str:
    if score is None:
        return ''
    rate = score.recipe.rpartition('_')[2]
    return score.text + (f' ({rate})' if rate in ('low', 'high') else '')


def comparison_table(records: Sequence[Record]) -> str:
    """Make the Markdown table of the planned comparisons, for every transfer."""
    rows = [['transfer', 'comparison', 'points', 'p (Holm)']]
    for name, by in scores_of(records).items():
        for item in compare(by):
            half = '' if item.half_width is None else f' ± {item.half_width:.1f}'
            rows.append([
                name,
                f'`{item.first}` - `{item.second}`',
                f'{item.points:+.1f}{half}',
                _p_value(item.p),
            ])  # fmt: skip
    return '\n'.join(_markdown(rows))


def _p_value(p: float | None) -> str:
    if p is None:
        return ''
    return f'{p:.3f}' if p >= 0.001 else '< 0.001'


def _markdown(rows: list[list[str]]) -> Iterator[str]:
    yield f'| {" | ".join(rows[0])} |'
    yield '|' + '---|' * len(rows[0])
    for row in rows[1:]:
        yield f'| {" | ".join(row)} |'


_PLACE = re.compile(r'(<!-- (accuracies|comparisons): (\S+) -->\n)(?s:.*?)(<!-- end -->)')


def with_evidence(text: str, folder: Path) -> str:
    """Return a document with its tables made anew from the records below ``folder``.

    The document holds pairs of comments ``<!-- accuracies: STUDY -->`` (or ``comparisons``) and
    ``<!-- end -->``; ``STUDY`` is a folder of records.

    Raises:
        UserError: no such folder, or a record that cannot be read.
    """

    def table(match: re.Match) -> str:
        opening, kind, study, closing = match.groups()
        records = [Record.read(path) for path in find_records([folder / study])]
        made = (accuracy_table if kind == 'accuracies' else comparison_table)(records)
        return f'{opening}\n{made}\n\n{closing}'

    return _PLACE.sub(table, text)


def keep(run: Path, folder: Path) -> Path:
    """Copy the record and the curve of a finished run, without weights and paths of the machine.

    Returns:
        The folder of the copy, ``folder / run.name``.
    """
    record = Record.read(run / FILE_NAME)
    if record.backbone:
        record.backbone = f'{record.parent}/{PurePosixPath(record.backbone).name}'
    target = folder / run.name
    if record.curve:
        write_atomic(target / record.curve, (run / record.curve).read_bytes())
    record.figures = []
    target.mkdir(parents=True, exist_ok=True)
    record.write(target)
    return target
