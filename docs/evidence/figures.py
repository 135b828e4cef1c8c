"""Figures of docs/evidence.md: accuracies and FLOPs from records, images from the runs."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from mmengine.config import Config
from mmpretrain.models import ClsDataPreprocessor
from PIL import Image

from docs.evidence.tables import Scores, scores_of
from symmim_mm.apis.embed import encode
from symmim_mm.apis.test import build_trained
from symmim_mm.apis.visualize import fit_center, read_center
from symmim_mm.checkpoint.encoder import read_encoder
from symmim_mm.checkpoint.read import checkpoint_files
from symmim_mm.config.load import load_config
from symmim_mm.datasets.sample.scenes import draw_scene
from symmim_mm.datasets.samplers.seeding import seed_everything
from symmim_mm.planning.costs import flops_per_image
from symmim_mm.results.record import FILE_NAME, Record
from symmim_mm.utils.errors import UserError
from symmim_mm.visualization.embeddings import project
from symmim_mm.visualization.images import (
    COLORS,
    enlarge,
    reconstruction_panels,
    side_by_side,
    titled,
)

SIZE = (32, 32)
SHADES = [*(COLORS / 255.0), (0.45, 0.27, 0.07), (0.0, 0.0, 0.0)]  # ten classes
MARKERS = 'os^vDP*X'
COUNT = 200  # images of a class on the maps


def draw_accuracies(records: Sequence[Record], path: Path) -> None:
    """Draw the test accuracy of every condition: a dot for each seed, a bar at their mean."""
    scores = scores_of(records)
    figure = Figure(figsize=(4 * len(scores), 4.2), layout='constrained')
    panels = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    order = _order(scores)
    for panel, (name, by) in zip(panels, scores.items(), strict=True):
        for row, condition in enumerate(order):
            if condition in by:
                values = list(by[condition].values.values())
                panel.plot(values, [row] * len(values), 'o', color=SHADES[4], alpha=0.6)
                panel.plot(by[condition].mean, row, '|', color='black', markersize=16)
        if 'random' in by:
            panel.axvline(by['random'].mean, color='gray', linestyle=':')
        panel.set_title(name, fontsize='medium')
        panel.set_xlabel('top-1, %')
        panel.grid(alpha=0.3)
    panels[0].set_yticks(range(len(order)), order)
    _write(figure, path)


def draw_compute(records: Sequence[Record], path: Path) -> None:
    """Draw accuracies against the FLOPs of the pre-training, counted from the configs of today."""
    scores = scores_of(records)
    runs = {record.method: record for record in records if record.task == 'pretrain'}
    figure = Figure(figsize=(4 * len(scores), 4.6), layout='constrained')
    panels = figure.subplots(1, len(scores), squeeze=False)[0]
    for index, condition in enumerate(reversed(_order(scores))):
        run = runs.get(condition)
        spent = _flops(run.config) * run.images / 1e12 if run else 0.0
        for panel, by in zip(panels, scores.values(), strict=True):
            means = [by[condition].mean] if condition in by else []
            panel.plot(
                [spent] * len(means), means, MARKERS[index % len(MARKERS)],
                color=SHADES[index % len(SHADES)], label=condition, linestyle='none',
            )  # fmt: skip
    for panel, name in zip(panels, scores, strict=True):
        panel.set_title(name, fontsize='medium')
        panel.set_xlabel('pre-training, TFLOP')
        panel.grid(alpha=0.3)
    panels[0].set_ylabel('top-1, %')
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=5, fontsize='small')
    _write(figure, path)


def draw_maps(runs: Path, images: Path, path: Path) -> None:
    """Draw test images on the two principal components of their features, colored by class.

    Args:
        runs: work directory of the suite, with checkpoints; seed 0 is drawn.
        images: folder of class folders.
        path: the PNG.
    """
    classes = sorted(folder for folder in images.iterdir() if folder.is_dir())
    files = [sorted(folder.iterdir())[:COUNT] for folder in classes]
    pixels = [read_center(file, SIZE)[0] for group in files for file in group]
    labels = np.repeat(np.arange(len(classes)), [len(group) for group in files])
    found = list(_finished(runs))
    columns = 3
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(3.6 * columns, 3 * rows + 0.4), layout='constrained', dpi=80)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    order = np.random.default_rng(0).permutation(len(labels))  # no class on top of all others
    for panel, (record, checkpoint) in zip(panels, found, strict=False):
        encoder = read_encoder(checkpoint)
        preprocessor = ClsDataPreprocessor(**encoder.normalization, to_rgb=True)
        points = project(encode(encoder.build(), preprocessor, pixels)).numpy()
        colors = np.array(SHADES)[labels]
        panel.scatter(*points[order].T, s=3, c=colors[order], linewidths=0)
        panel.set_title(record.method, fontsize='medium')
    for label, folder in enumerate(classes):
        panels[0].plot([], [], 'o', color=SHADES[label], label=folder.name)
    figure.legend(loc='outside lower center', ncols=len(classes), fontsize='x-small')
    figure.savefig(path, metadata=dict(Software=None), pil_kwargs=dict(optimize=True))


def draw_reconstructions(runs: Path, path: Path, count: int = 3) -> None:
    """Draw what each pre-training makes of drawn scenes, which none of them has seen, as PNG."""
    scenes = [draw_scene(np.random.default_rng(seed), 224).image for seed in range(count)]
    inputs = torch.cat([fit_center(scene[..., ::-1], SIZE) for scene in scenes])
    columns = []
    for record, checkpoint in _finished(runs):
        if set(record.metrics) == {'loss', 'loss_con'}:
            continue  # it predicts no pixels
        model = build_trained(_config(record.config), record.config, str(checkpoint))
        seed_everything(0)
        panels = reconstruction_panels(model, inputs)
        if not columns:
            columns.append(_column('image', [original for original, _, _ in panels]))
        strips = [side_by_side(covered, filled, gap=1) for _, covered, filled in panels]
        columns.append(_column(record.method, strips))
    half = -(-len(columns) // 2)
    rows = [
        columns[:half],
        [*columns[half:], *[np.full_like(columns[1], 255)] * (len(columns) % 2)],
    ]
    joined = [side_by_side(*row, gap=16) for row in rows]
    width = max(row.shape[1] for row in joined)
    drawn = np.concatenate([_pad(row, width) for row in joined])
    Image.fromarray(drawn).save(path, optimize=True)


def _pad(image: np.ndarray, width: int) -> np.ndarray:
    return np.pad(image, ((0, 8), (0, width - image.shape[1]), (0, 0)), constant_values=255)


def _column(title: str, images: Sequence[np.ndarray]) -> np.ndarray:
    return titled(title, np.concatenate([enlarge(image, 128) for image in images]))


def _finished(runs: Path) -> Iterator[tuple[Record, Path]]:
    """Yield the pre-trainings of seed 0 with their checkpoints, in the order in which they ran."""
    found = [Record.read(path) for path in runs.glob(f'*-pretrain-seed0/{FILE_NAME}')]
    if not found:
        raise UserError(f'{runs}: no finished pre-training of seed 0 there')
    for record in sorted(found, key=lambda record: record.started):
        yield record, checkpoint_files(runs / record.run)[-1]


def _order(scores: Scores) -> list[str]:
    """Return the conditions by their mean over all transfers, the lowest first."""
    means: dict[str, list[float]] = {}
    for by in scores.values():
        for condition, score in by.items():
            means.setdefault(condition, []).append(score.mean)
    return sorted(means, key=lambda condition: np.mean(means[condition]))


@cache
def _config(path: str) -> Config:
    return load_config(path, check_data=False)


@cache
def _flops(path: str) -> int:
    return flops_per_image(_config(path)).forward_backward


def _write(figure: Figure, path: Path) -> None:
    # The same records give the same file.
    with matplotlib.rc_context({'svg.hashsalt': path.stem, 'svg.fonttype': 'none'}):
        FigureCanvasSVG(figure)
        figure.savefig(path, format='svg', metadata=dict(Date=None))
