"""Laws fitted to measurements by least squares of relative errors."""

import math
from collections.abc import Sequence

import numpy as np

from symmim_mm.utils.errors import UserError


def polynomial(x: Sequence[float], y: Sequence[float], degree: int) -> dict:
    """Fit ``y = c0 + c1 x + ... `` by relative errors.

    Raises:
        UserError: there are fewer points than coefficients.
    """
    if len(x) <= degree:
        raise UserError(f'a law with {degree + 1} coefficients needs as many points, got {len(x)}')
    x, y = np.asarray(x, float), np.asarray(y, float)
    scale = x.max()  # so that the powers have similar magnitudes
    found = np.polyfit(x / scale, y, degree, w=1 / y)[::-1]
    found[np.abs(found) < 1e-9 * y.max()] = 0.0  # rounding errors of absent terms
    coefficients = [float(value / scale**order) for order, value in enumerate(found)]
    return dict(kind='polynomial', coefficients=coefficients) | _errors(
        np.polyval(found[::-1], x / scale), y
    )


def power(x: Sequence[float], y: Sequence[float]) -> dict:
    """Fit ``y = factor * x ** exponent`` by least squares of the logarithms.

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
    """Return the value of a polynomial law at ``x``."""
    return sum(value * x**order for order, value in enumerate(law['coefficients']))


def in_words(law: dict, variable: str) -> str:
    """Write a polynomial law such as ``0.31 + 0.0021 n + 1.4e-06 n^2``."""
    text = ''
    for order, value in enumerate(law['coefficients']):
        if value:
            unit = ('', f' {variable}', f' {variable}^{order}')[min(order, 2)]
            sign = ' - ' if value < 0 else ' + '
            text += f'{sign}{abs(value):.3g}{unit}'
    return text.removeprefix(' + ').strip() or '0'


def _errors(fitted: np.ndarray, y: np.ndarray) -> dict:
    relative = fitted / y - 1
    return dict(
        largest_error=float(np.abs(relative).max()), errors=[float(error) for error in relative]
    )
