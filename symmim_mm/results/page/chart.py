"""Line charts as small inline SVG."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

Points = list[tuple[float, float]]
WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 38
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Series:
    """One line of a chart; ``slot`` is the number of its color in the page's style."""

    name: str
    slot: int
    points: Points


def thin(points: Points, most: int = 160) -> Points:
    """Return at most ``most`` points: means of neighbors, the last point kept."""
    if len(points) <= most:
        return points
    size = math.ceil(len(points) / (most - 1))
    groups = (points[start : start + size] for start in range(0, len(points), size))
    mean = statistics.fmean
    means = [(mean(x for x, _ in group), mean(y for _, y in group)) for group in groups]
    return means[:-1] + [points[-1]]


def chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    chance: float | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Markup:
    """Draw lines as an SVG element; colors come from the page (classes ``s0``, ``s1``, ...).

    The y axis is logarithmic where positive values span more than a factor of eight.
    ``chance`` adds a dashed level, ``size`` is width and height. All strings are escaped.
    """
    width, height = size
    lines = [Series(item.name, item.slot, thin(item.points)) for item in series if item.points]
    if not lines:
        return Markup()
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points] + ([] if chance is None else [chance])
    logarithmic = min(ys) > 0 and max(ys) > 8 * min(ys) and chance is None
    y_ticks = _log_ticks(min(ys), max(ys)) if logarithmic else _ticks(min(ys), max(ys))
    x_low, x_high = min(0, *xs), max(0, *xs) or 1.0
    scale = math.log if logarithmic else float
    y_low, y_high = scale(y_ticks[0]), scale(y_ticks[-1])

    def px(x: float) -> float:
        return round(LEFT + (x - x_low) / (x_high - x_low) * (width - LEFT - RIGHT), 1)

    def py(y: float) -> float:
        share = (scale(y) - y_low) / (y_high - y_low)
        return round(height - BOTTOM - share * (height - TOP - BOTTOM), 1)

    return Markup(  # of a template that escapes
        TEMPLATES.get_template('chart.svg.j2').render(
            width=width,
            height=height,
            left=LEFT,
            right=width - RIGHT,
            bottom=height - BOTTOM,
            x_label=x_label + (' (y: log scale)' if logarithmic else ''),
            y_label=y_label,
            x_ticks=[(px(x), _number(x)) for x in _ticks(x_low, x_high, inside=True)],
            y_ticks=[(py(y), _number(y)) for y in y_ticks],
            chance=None if chance is None else py(chance),
            lines=[
                Series(item.name, item.slot, [(px(x), py(y)) for x, y in item.points])
                for item in lines
            ],
        )
    )


def _ticks(low: float, high: float, inside: bool = False) -> list[float]:
    """Return about five round values around (with ``inside``: in) the range of the arguments."""
    if high <= low:
        low, high = low - abs(low) * 0.1 - 0.01, high + abs(high) * 0.1 + 0.01
    raw = (high - low) / 4
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw)
    if inside:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    else:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten that enclose ``low`` .. ``high``; of few also 2 and 5 times these."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 3 else (1,)
    values = [factor * 10.0**power for power in powers for factor in factors]
    first = max(value for value in values if value <= low * (1 + 1e-9))
    last = min(value for value in values if value >= high * (1 - 1e-9))
    return [value for value in values if first <= value <= last]


def _number(value: float) -> str:
    if abs(value) >= 10000:
        return f'{value / 1000:g}k'
    return f'{value:.6g}'
