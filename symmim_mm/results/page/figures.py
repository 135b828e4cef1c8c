"""Images that runs drew of held-out data, side by side on the report page."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symmim_mm.results.runs import RecordedRun, group_runs, method_name
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.paths import file_inside

MAX_ROWS = 6
MAX_WIDTH = 720
WIDE = 1440  # of an overview, twice the pixels of the page
MOST_PIXELS = 1 << 25
MOST_BYTES = 1 << 25
SECTIONS = {
    'pretrain': ('Reconstructions', 'Each: input, masked input, reconstruction.'),
    'detection': ('Detections', 'Each: annotated objects, predicted objects.'),
    'segmentation': ('Segmentations', 'Each: image, annotation, prediction.'),
    'linear_segmentation': ('Linear probe', 'Each: image, annotation, prediction.'),
}


# Figures of many images, next to the drawings of single ones.
OVERVIEWS = {
    'over_time.png': ('Reconstructions over time', 'The same masks at every step.'),
    'map.png': ('Map of the embedding', 'Thumbnails by their features, on a plane (PCA or t-SNE).'),
    'neighbors.png': (
        'Nearest neighbors',
        'An image and its nearest, by the encoder as trained, as it started, and with random '
        'weights.',
    ),
    'duplicates.png': ('Near duplicates', 'Images that are nearly the same as an earlier one.'),
}


def figure_sections(runs: Sequence[RecordedRun], problems: list[str]) -> list[dict[str, Any]]:
    """Return the page's figures by task and dataset: an image a row, a method a column.

    Overviews, and what was found about the images, are as wide as the page.

    Columns are in the order of ``runs``, by method and seed; of a method those with the lowest
    seed are shown. ``problems`` gets a line for each image that cannot be shown.
    """
    sections = []
    for task, dataset, group in group_runs(runs):
        with_figures = [run for run in group if run.record.figures]
        if task not in SECTIONS or not with_figures:
            continue
        lowest = {run.record.method: run.record.seed for run in reversed(with_figures)}
        columns = [run for run in with_figures if run.record.seed == lowest[run.record.method]]
        methods = Counter(run.record.method for run in columns)
        heads = [
            method_name(run.record.method) if methods[run.record.method] == 1 else run.record.run
            for run in columns
        ]
        names = dict.fromkeys(Path(file).name for run in columns for file in run.record.figures)
        drawn = [name for name in names if name not in OVERVIEWS][:MAX_ROWS]
        parts = [(*SECTIONS[task], drawn, MAX_WIDTH)]
        parts += [(*OVERVIEWS[name], [name], WIDE) for name in OVERVIEWS if name in names]
        for title, caption, shown, width in parts:
            rows = [
                [
                    {'data': _drawing(run, name, width, problems), 'alt': f'{head}: {name}'}
                    for run, head in zip(columns, heads, strict=True)
                ]
                for name in shown
            ]
            sections.append(
                {
                    'title': f'{title}, {dataset}' if dataset else title,
                    'caption': caption,
                    'heads': heads,
                    'rows': rows,
                    'wide': width == WIDE,
                    'findings': [],
                }
            )
        sections[-1]['findings'] = [line for run in columns for line in run.record.findings]
    return sections


def _drawing(run: RecordedRun, name: str, width: int, problems: list[str]) -> str | None:
    """Return a run's PNG of a name as a data address, at most ``width`` pixels wide, or None."""
    from PIL import Image

    file = next((file for file in run.record.figures if Path(file).name == name), None)
    if file is None:
        return None
    try:
        path = file_inside(run.folder, file, MOST_BYTES)
        with Image.open(path, formats=('PNG',)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise UserError(f'{path}: has {image.width} x {image.height} pixels')
            shown = image.convert('RGB')
            shown.thumbnail((width, image.height))
            buffer = io.BytesIO()
            shown.save(buffer, 'PNG')
    except Exception as error:  # Pillow raises many kinds of errors on bytes that are no PNG
        where = '' if isinstance(error, UserError) else f'{run.folder / file}: not a readable PNG: '
        problems.append(f'image left out: {where}{error}')
        return None
    return 'data:image/png;base64,' + base64.b64encode(buffer.getvalue()).decode('ascii')
