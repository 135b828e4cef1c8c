"""The picture of ``tools/benchmark.py growth``: measured points, laws, FLOPs."""

from pathlib import Path

import matplotlib
import numpy as np

from benchmarks.laws import evaluate
from symmim_mm.utils.errors import UserError

MIB = 2**20


def draw(result: dict, path: Path) -> None:
    """Write an SVG: time above, memory below, a column for each axis.

    Raises:
        UserError: the picture cannot be written.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    axes = result['axes']
    figure = Figure(figsize=(3.6 * len(axes), 5.6), layout='constrained')
    panels = figure.subplots(2, len(axes), squeeze=False)
    for column, (name, measured) in enumerate(axes.items()):
        points, laws = measured['points'], measured['laws']
        x = [point['value'] for point in points]
        dense = np.linspace(min(x), max(x), 100)
        time, memory = panels[0][column], panels[1][column]
        middle = [point['seconds']['median'] for point in points]
        spread = [
            [value - point['seconds']['low'] for value, point in zip(middle, points, strict=True)],
            [point['seconds']['high'] - value for value, point in zip(middle, points, strict=True)],
        ]
        time.errorbar(x, middle, spread, fmt='o', capsize=3, label='measured')
        time.plot(dense, [evaluate(laws['seconds'], value) for value in dense], label='law')
        by_operations = [
            middle[0] * point['operations'] / points[0]['operations'] for point in points
        ]
        time.plot(x, by_operations, ':', label='FLOPs, from the first point')
        time.set_ylabel('seconds a step')
        memory.plot(x, [point['bytes'] / MIB for point in points], 'o', label='measured')
        curve = [evaluate(laws['bytes'], value) / MIB for value in dense]
        memory.plot(dense, curve, label='law')
        memory.set_ylabel('peak of the step, MiB')
        memory.set_xlabel(name)
        for panel in (time, memory):
            panel.set_ylim(bottom=0)
            panel.grid(alpha=0.3)
            panel.legend(fontsize='small')
    # The same result gives the same file.
    with matplotlib.rc_context({'svg.hashsalt': 'growth', 'svg.fonttype': 'none'}):
        FigureCanvasSVG(figure)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, format='svg', metadata=dict(Date=None))
        except OSError as error:
            raise UserError(f'cannot write {path}: {error.strerror}') from error
