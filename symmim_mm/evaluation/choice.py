"""Settings of a classifier of frozen features, chosen on held-out training images."""

import itertools
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from symmim_mm.utils.errors import UserError

Grid = dict[str, Sequence[float]]


def check_settings(
    classify: Callable[..., Tensor], settings: dict[str, Any], grid: object, held_out: object
) -> None:
    """Check a config's ``evaluation`` before any image is encoded.

    Args:
        classify: the classifier, whose parameters with a default are its settings.
        settings: values by name.
        grid: lists of values by name, to choose from.
        held_out: share of the training images to choose on.

    Raises:
        UserError: a name that the classifier does not have, or a value of another type.
    """
    if not isinstance(grid, dict) or any(
        not isinstance(values, list | tuple) or not values for values in grid.values()
    ):
        raise UserError(f'evaluation.grid must map names to lists of numbers, got {grid!s:.80}')
    if type(held_out) not in (int, float) or not 0 < held_out <= 0.5:
        raise UserError(f'evaluation.held_out must be a share in (0, 0.5], got {held_out}')
    parameters = signature(classify).parameters.values()
    kinds = {p.name: type(p.default) for p in parameters if p.default is not p.empty}
    for name, values in [*((name, [value]) for name, value in settings.items()), *grid.items()]:
        if name not in kinds:
            raise UserError(f'evaluation.{name} is no setting: take {", ".join(kinds)}')
        if wrong := [value for value in values if type(value) not in (int, kinds[name])]:
            raise UserError(f'evaluation: {name} must be {kinds[name].__name__}, got {wrong[0]!r}')


def split_held_out(labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Hold out a share of every class, each ``1 / share``-th image of it, rounded.

    Returns:
        Indices int64 of the images to fit and of those held out, both ascending.

    Raises:
        UserError: a class with fewer images than that.
    """
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
    tried = []
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        tried.append((top1(settings, *split), top1(settings, *everything), settings))
    best, accuracy, chosen = max(tried, key=lambda one: one[0])  # the first of equal ones
    found = {'top1': round(accuracy, 4), 'held_out_top1': round(best, 4)}
    for _, accuracy, settings in tried:
        text = '_'.join(f'{name}={value:g}' for name, value in settings.items())
        found[f'top1_{text}'] = round(accuracy, 4)
    return found | {f'chosen_{name}': value for name, value in chosen.items()}
