"""Laws fitted to measurements by least squares of relative errors."""

import math
from collections.abc import Sequence

import numpy as np

from symmim_mm.errors import UserError


def polynomial(x: Sequence[float], y: Sequence[float], degree: int) -> dict:
    """``y = c0 + c1 x + ... ``, where every point counts by its relative error.

    Raises:
        UserError: there are fewer points than coefficients.
    """
    if len(x) <= degree:
        raise UserError(f'a law with {degree + 1} coefficients needs as many points, got {len(x)}')
    x, y = np.asarray(x, float), np.asarray(y, float)
    scale = x.max()  # powers of numbers near 1: their columns are of one size
    columns = np.stack([(x / scale) ** order for order in range(degree + 1)], axis=1)
    found, *_ = np.linalg.lstsq(columns / y[:, None], np.ones(len(y)), rcond=None)
    coefficients = [float(value / scale**order) for order, value in enumerate(found)]
    return dict(kind='polynomial', coefficients=coefficients) | _errors(columns @ found, y)


def power(x: Sequence[float], y: Sequence[float]) -> dict:
    """``y = factor * x ** exponent``, by least squares of the logarithms.

    Raises:
        UserError: fewer than two points, or a value that is not positive.
    """
    if len(x) < 2 or min(*x, *y) <= 0:
        raise UserError('a power law needs two points or more, all of them positive')
    exponent, offset = np.polyfit(np.log(x), np.log(y), 1)
    fitted = np.exp(offset) * np.asarray(x, float) ** exponent
    return dict(kind='power', exponent=float(exponent), factor=math.exp(offset)) | _errors(
        fitted, np.asarray(y, float)
    )


def evaluate(law: dict, x: float) -> float:
    """What a law says for ``x``."""
    if law['kind'] == 'power':
        return law['factor'] * x ** law['exponent']
    return sum(value * x**order for order, value in enumerate(law['coefficients']))


def in_words(law: dict, variable: str) -> str:
    """Such as ``0.31 + 0.0021 n + 1.4e-06 n^2``."""
    if law['kind'] == 'power':
        return f'{law["factor"]:.3g} {variable}^{law["exponent"]:.2f}'
    text = f'{law["coefficients"][0]:.3g}'
    for order, value in enumerate(law['coefficients'][1:], start=1):
        unit = variable if order == 1 else f'{variable}^{order}'
        text += f' {"-" if value < 0 else "+"} {abs(value):.3g} {unit}'
    return text


def _errors(fitted: np.ndarray, y: np.ndarray) -> dict:
    relative = fitted / y - 1
    return dict(
        largest_error=float(np.abs(relative).max()), errors=[float(error) for error in relative]
    )
