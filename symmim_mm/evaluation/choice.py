"""Settings of a classifier of frozen features, chosen on held-out training images."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from symmim_mm.utils.errors import UserError

Grid = dict[str, Sequence[float]]


def split_held_out(labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Hold out a share of every class, each ``1 / share``-th image of it, rounded.

    Returns:
        Indices int64 of the images to fit and of those held out, both ascending.

    Raises:
        UserError: another share, or a class with fewer images than that.
    """
    if not 0 < share <= 0.5:
        raise UserError(f'evaluation.held_out must be a share in (0, 0.5], got {share}')
    step = round(1 / share)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        places = (labels == label).nonzero().flatten()
        if len(places) < step:
            raise UserError(
                f'evaluation.held_out={share} holds out none of the {len(places)} images of class '
                f'{int(label)}: take a larger share, or no evaluation.grid'
            )
        held[places[step - 1 :: step]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def check_grid(grid: object) -> Grid:
    """Return a config's ``evaluation.grid``; ``UserError`` if it holds no lists of numbers."""
    whole = isinstance(grid, dict) and all(
        isinstance(values, list | tuple) and values and all(type(v) in (int, float) for v in values)
        for values in grid.values()
    )
    if not whole:
        raise UserError(f'evaluation.grid must map names to lists of numbers, got {grid!s:.80}')
    return grid


def judge(
    classify: Callable[..., Tensor],
    grid: Grid,
    held_out: float,
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    truth: Tensor,
    classes: int,
) -> dict[str, float]:
    """Fit to all training images and measure on the test images, which choose nothing.

    Args:
        classify: ``(train, labels, test, classes, **settings)`` -> classes int64 ``(M,)``.
        grid: values to try by name; those best on held-out training images are chosen, of equally
            good ones the first.
        held_out: see :func:`split_held_out`.
        train: features float ``(N, C)`` of the training images.
        labels: their classes, int64 ``(N,)``.
        test: features of the test images.
        truth: their classes.
        classes: number of classes.

    Returns:
        ``top1`` in percent with the chosen settings; with a grid also ``top1_NAME=VALUE`` of each
        setting tried, ``chosen_NAME`` and ``held_out_top1``, by which they were chosen.

    Raises:
        UserError: as :func:`split_held_out`, and settings that the classifier refuses.
    """

    def top1(settings: dict[str, Any], *data: Tensor) -> float:
        *given, expected = data
        return 100.0 * (classify(*given, classes, **settings) == expected).double().mean().item()

    everything = train, labels, test, truth
    if not grid:
        return {'top1': round(top1({}, *everything), 4)}
    fit, held = split_held_out(labels.cpu(), held_out)
    split = train[fit], labels[fit], train[held], labels[held]
    combinations = [
        dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    ]
    held_out_top1 = [top1(settings, *split) for settings in combinations]
    best = max(held_out_top1)
    chosen = combinations[held_out_top1.index(best)]
    tried = {_text(settings): round(top1(settings, *everything), 4) for settings in combinations}
    found = {'top1': tried[_text(chosen)], 'held_out_top1': round(best, 4)}
    found |= {f'top1_{text}': accuracy for text, accuracy in tried.items()}
    return found | {f'chosen_{name}': value for name, value in chosen.items()}


def _text(settings: dict[str, Any]) -> str:
    return '_'.join(f'{name}={value:g}' for name, value in settings.items())
