"""Drawing primitives of the sample data: shapes, textures, soft painting, smooth noise.

A shape is a signed distance to its outline, so that one formula gives the antialiased edge, the
soft shadow and the exact pixel mask. Distances are in units of the square root of the shape's
area: every shape of the same ``scale`` covers the same number of pixels, and area (hence the
image's color histogram) says nothing about the shape. Arrays use plain float32 arithmetic and
scalars float64, which rounds alike on every machine.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Window = tuple[slice, slice]

SHAPES = ('disc', 'square', 'triangle', 'star', 'ring', 'cross')
TEXTURES = ('plain', 'halved', 'ringed', 'sectored', 'blotched', 'dotted')

# Half-widths and radii that make the area 1.
_DISC_RADIUS = math.sqrt(1 / math.pi)
_TRIANGLE_INRADIUS = math.sqrt(1 / (3 * math.sqrt(3)))
_STAR_INNER = 0.45  # inner radius over outer radius
_STAR_RADIUS = math.sqrt(1 / (5 * _STAR_INNER * math.sin(math.pi / 5)))
_RING_INNER = 0.55
_RING_RADIUS = math.sqrt(1 / (math.pi * (1 - _RING_INNER**2)))
_CROSS_ARM = 0.32  # half-width of an arm over half the cross
_CROSS_RADIUS = math.sqrt(1 / (8 * _CROSS_ARM - 4 * _CROSS_ARM**2))

_FIVE_WAYS = tuple(math.pi * turn / 5 for turn in range(5))
_ROW = math.sqrt(3) / 2  # between rows of a triangular lattice of period 1
_DOT_RADIUS = math.sqrt(_ROW / (2 * math.pi))  # dots that cover half of it

# Distance from the center to the farthest point, in the same units.
REACH = {
    'disc': _DISC_RADIUS,
    'square': math.sqrt(0.5),
    'triangle': 2 * _TRIANGLE_INRADIUS,
    'star': _STAR_RADIUS,
    'ring': _RING_RADIUS,
    'cross': _CROSS_RADIUS * math.hypot(1, _CROSS_ARM),
}


def _star_distance(x: Array, y: Array) -> Array:
    # The star is ten mirror images of one edge: fold the plane into the half sector of 36 degrees
    # next to the tip that points along +y, then measure to the line from that tip to the notch.
    sine, cosine = math.sin(math.pi / 5), math.cos(math.pi / 5)
    for _ in range(2):
        x = np.abs(x)
        beyond = np.maximum(x * cosine - y * sine, 0)
        x, y = x - 2 * cosine * beyond, y + 2 * sine * beyond
    x = np.abs(x)
    notch_x = _STAR_INNER * _STAR_RADIUS * sine
    notch_y = _STAR_INNER * _STAR_RADIUS * cosine
    length = math.hypot(notch_x, _STAR_RADIUS - notch_y)
    normal_x, normal_y = (_STAR_RADIUS - notch_y) / length, notch_x / length
    return x * normal_x + (y - _STAR_RADIUS) * normal_y


def signed_distance(shape: str, x: Array, y: Array) -> Array:
    """Return the distance of points to the outline of a shape of area 1, negative inside.

    ``x`` and ``y`` are float32 from the shape's center, in units of sqrt(area). Near corners it is
    the distance to the extended edges, which is all that soft edges need.
    """
    if shape == 'disc':
        return np.sqrt(x * x + y * y) - _DISC_RADIUS
    if shape == 'square':
        return np.maximum(np.abs(x), np.abs(y)) - 0.5
    if shape == 'triangle':
        slanted = np.abs(x) * (math.sqrt(3) / 2) + y * 0.5
        return np.maximum(slanted, -y) - _TRIANGLE_INRADIUS
    if shape == 'star':
        return _star_distance(x, y)
    if shape == 'ring':
        middle = _RING_RADIUS * (1 + _RING_INNER) / 2
        half = _RING_RADIUS * (1 - _RING_INNER) / 2
        return np.abs(np.sqrt(x * x + y * y) - middle) - half
    x, y = np.abs(x), np.abs(y)  # a cross
    arm = _CROSS_ARM * _CROSS_RADIUS
    return np.maximum(np.minimum(x, y) - arm, np.maximum(x, y) - _CROSS_RADIUS)


def _triangle_wave(u: Array, period: float) -> Array:
    """Return a triangle wave that rises or falls by 2 a pixel: mean 0."""
    u = u / period
    return (np.abs(u - np.floor(u) - 0.5) - 0.25) * (2 * period)


def _turned(u: Array, v: Array, angles: tuple[float, ...]) -> list[Array]:
    """Return the coordinate along each of several directions."""
    return [u * math.cos(angle) + v * math.sin(angle) for angle in angles]


def _lattice_distance(u: Array, v: Array, period: float) -> Array:
    """Return the distance to the nearest point of a lattice of ``period`` x two rows."""
    du = u / period
    dv = v / (2 * _ROW * period)
    du = (du - np.floor(du) - 0.5) * period
    dv = (dv - np.floor(dv) - 0.5) * (2 * _ROW * period)
    return np.sqrt(du * du + dv * dv)


def texture_weight(texture: str, u: Array, v: Array, period: float) -> Array:
    """Return the share of the second color at the points ``(u, v)``, float32 in [0, 1].

    Every texture but ``plain`` gives both colors about half of the area, so that a color
    histogram does not tell them apart. None has checkers or stripes along two axes, which the mask
    of one method could match better than that of another. All lengths are in pixels.
    """
    if texture == 'plain':
        return np.zeros_like(u)
    if texture == 'halved':
        return np.clip(0.5 + u / 2, 0, 1)
    if texture == 'ringed':
        rings = _triangle_wave(np.sqrt(u * u + v * v), period)
        return 0.5 + 0.5 * np.clip(rings, -1, 1)
    if texture == 'sectored':
        # Three lines through the middle cut six sectors of alternate sign.
        one, two, three = _turned(u, v, (0, math.pi / 3, 2 * math.pi / 3))
        return 0.5 + 0.5 * np.clip(one, -1, 1) * np.clip(two, -1, 1) * np.clip(three, -1, 1)
    if texture == 'blotched':
        # The sum of waves in five directions has no period; its sign gives the blotches. The waves
        # are displaced, as the point where all of them start would look like a ring.
        waves = sum(
            _triangle_wave(line + 0.29 * turn * period, 1.5 * period)
            for turn, line in enumerate(_turned(u, v, _FIVE_WAYS))
        )
        return 0.5 + 0.5 * np.clip(0.5 * waves, -1, 1)
    # Dots on a triangular lattice: the nearer one of two rectangular lattices.
    nearest = np.minimum(
        _lattice_distance(u, v, period),
        _lattice_distance(u + period / 2, v + _ROW * period, period),
    )
    return np.clip(0.5 + _DOT_RADIUS * period - nearest, 0, 1)


@dataclass(frozen=True)
class Thing:
    """One object of an image; lengths in pixels, angles in radians, colors float32 in [0, 1]."""

    shape: str
    texture: str
    x: float
    y: float
    scale: float  # square root of its area
    angle: float
    colors: Array  # (2, 3)
    period: float
    texture_angle: float
    phase: tuple[float, float]
    softness: float  # width of its edge
    shading: tuple[float, float]  # brightness slope across the object
    shadow: tuple[float, float, float]  # shift right, shift down, strength in [0, 1]


def _window(thing: Thing, margin: float, size: int | None) -> Window:
    reach = REACH[thing.shape] * thing.scale + margin
    low_x, high_x = math.floor(thing.x - reach), math.ceil(thing.x + reach)
    low_y, high_y = math.floor(thing.y - reach), math.ceil(thing.y + reach)
    if size is not None:
        low_x, low_y = max(low_x, 0), max(low_y, 0)
        high_x, high_y = min(high_x, size), min(high_y, size)
    return slice(low_y, max(high_y, low_y)), slice(low_x, max(high_x, low_x))


def _offsets(window: Window, x: float, y: float) -> tuple[Array, Array]:
    """Return pixel centers relative to ``(x, y)``: a row ``(1, W)`` and a column ``(H, 1)``."""
    columns = np.arange(window[1].start, window[1].stop, dtype=np.float32) + np.float32(0.5 - x)
    rows = np.arange(window[0].start, window[0].stop, dtype=np.float32) + np.float32(0.5 - y)
    return columns[None, :], rows[:, None]


def _rotate(x: Array, y: Array, angle: float) -> tuple[Array, Array]:
    sine, cosine = math.sin(angle), math.cos(angle)
    return x * cosine + y * sine, y * cosine - x * sine


def _distance(thing: Thing, window: Window, shift: tuple[float, float] = (0.0, 0.0)) -> Array:
    """Return the signed distance in pixels over a window of the image."""
    x, y = _offsets(window, thing.x + shift[0], thing.y + shift[1])
    x, y = _rotate(x / thing.scale, y / thing.scale, thing.angle)
    return signed_distance(thing.shape, x, y) * thing.scale


def mask_of(thing: Thing, size: int) -> tuple[NDArray[np.bool_], int]:
    """Return the pixels of an object with nothing in front of it, bool ``(size, size)``.

    And its full area in pixels, the part outside of the image included.
    """
    whole = _window(thing, 1, None)
    inside = _distance(thing, whole) < 0
    mask = np.zeros((size, size), dtype=bool)
    window = _window(thing, 1, size)
    top, left = whole[0].start, whole[1].start
    mask[window] = inside[
        window[0].start - top : window[0].stop - top, window[1].start - left : window[1].stop - left
    ]
    return mask, int(np.count_nonzero(inside))


def paint(canvas: Array, thing: Thing) -> None:
    """Draw the object and its shadow into ``canvas``, float32 ``(S, S, 3)`` in [0, 1], in place."""
    size = canvas.shape[0]
    shift_x, shift_y, strength = thing.shadow
    if strength > 0:
        blur = 3 * thing.softness
        window = _window(thing, blur + max(abs(shift_x), abs(shift_y)), size)
        distance = _distance(thing, window, (shift_x, shift_y))
        canvas[window] *= (1 - strength * np.clip(0.5 - distance / blur, 0, 1))[..., None]
    window = _window(thing, thing.softness, size)
    alpha = np.clip(0.5 - _distance(thing, window) / thing.softness, 0, 1)
    x, y = _offsets(window, thing.x, thing.y)
    u, v = _rotate(x, y, thing.texture_angle)
    weight = texture_weight(thing.texture, u + thing.phase[0], v + thing.phase[1], thing.period)
    light = 1 + (x * thing.shading[0] + y * thing.shading[1]) / thing.scale
    first, second = thing.colors
    color = (first + (second - first) * weight[..., None]) * light[..., None]
    canvas[window] += alpha[..., None] * (color - canvas[window])


def stroke(
    canvas: Array,
    start: tuple[float, float],
    end: tuple[float, float],
    width: float,
    color: Array,
    strength: float = 1.0,
) -> NDArray[np.bool_]:
    """Draw a straight stroke with round ends in place and return its bool mask ``(S, S)``."""
    size = canvas.shape[0]
    x, y = _offsets((slice(0, size), slice(0, size)), *start)
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    length = max(math.hypot(along_x, along_y), 1e-6)
    along_x, along_y = along_x / length, along_y / length
    place = np.clip(x * along_x + y * along_y, 0, length)
    x, y = x - place * along_x, y - place * along_y
    distance = np.sqrt(x * x + y * y) - width / 2
    alpha = strength * np.clip(0.5 - distance, 0, 1)
    canvas += alpha[..., None] * (color - canvas)
    return distance < 0


@functools.lru_cache(maxsize=64)
def _interpolation(size: int, cells: int) -> tuple[NDArray[np.int64], Array]:
    place = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / size)
    index = np.minimum(place.astype(np.int64), cells - 1)
    part = place - index
    return index, part * part * (3 - 2 * part)


def smooth_noise(
    rng: np.random.Generator, size: int, cells: tuple[int, int], channels: int
) -> Array:
    """Draw random values on a grid of ``cells`` (rows, columns) and interpolate them smoothly.

    Returns:
        float32 ``(size, size, channels)`` in [-1, 1].
    """
    rows, columns = cells
    grid = rng.random((rows + 1, columns + 1, channels), dtype=np.float32) * 2 - 1
    index, part = _interpolation(size, rows)
    lines = grid[index] + (grid[index + 1] - grid[index]) * part[:, None, None]
    index, part = _interpolation(size, columns)
    left = lines[:, index]
    return left + (lines[:, index + 1] - left) * part[None, :, None]


def ramp(size: int, angle: float) -> Array:
    """Return a plane that rises from -1 to 1 along ``angle``, float32 ``(S, S)``."""
    x, y = _offsets((slice(0, size), slice(0, size)), size / 2, size / 2)
    sine, cosine = math.sin(angle), math.cos(angle)
    return (x * cosine + y * sine) * np.float32(2 / (size * (abs(sine) + abs(cosine))))
