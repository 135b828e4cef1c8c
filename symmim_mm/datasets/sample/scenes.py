"""Compose the sample images: one object to classify, or a scene of several to find.

Hues, light, background, clutter and noise are drawn independently of the classes; surfaces are of
middle brightness, objects have a dark and a bright color, either one first. What tells classes
apart is the outline of an object and the pattern on it. Angles are limited and brightness
contrasts strong, so that a small transformer gets hold of the patterns within some ten thousand
images; outlines take it longer.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from symmim_mm.datasets.sample import shapes
from symmim_mm.datasets.sample.shapes import SHAPES, TEXTURES, Array, Thing

Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]

CLASS_SHAPES = ('disc', 'ring')
CLASS_TEXTURES = ('halved', 'ringed', 'sectored', 'blotched', 'dotted')
CLASSES = tuple(f'{shape}_{texture}' for shape in CLASS_SHAPES for texture in CLASS_TEXTURES)

SEGMENTATION_CLASSES = SHAPES + ('sky', 'ground')
SKY, GROUND = (SEGMENTATION_CLASSES.index(name) + 1 for name in ('sky', 'ground'))

MIN_THINGS, MAX_THINGS = 2, 5  # objects of a scene
MIN_VISIBLE = 0.35  # share of an object that must be seen for it to stay in the scene
MAX_TILT = 0.4  # radians, of objects and, apart from that, of their patterns

# Ranges of luma (Rec. 601) in [0, 1].
# How far colors are from gray. At full strength hue, which tells nothing, is most of what
# varies between images, and short training learns little else.
SATURATION = 0.2
DARK, MIDDLE, BRIGHT, ANY = (0.02, 0.2), (0.42, 0.55), (0.8, 0.98), (0.05, 0.95)


@dataclass(frozen=True)
class Scene:
    """A drawn scene.

    image: uint8 ``(S, S, 3)`` RGB. labels: indices into ``SHAPES``, back to front. masks: the
    visible pixels of each object, bool ``(S, S)``, disjoint. label_map: uint8 ``(S, S)``, 0 =
    unlabelled, ``i + 1`` = ``SEGMENTATION_CLASSES[i]``.
    """

    image: Image
    labels: list[int]
    masks: list[Mask]
    label_map: NDArray[np.uint8]


def _color(rng: np.random.Generator, luma: tuple[float, float]) -> Array:
    """Draw a muted color ``(3,)`` of any hue and of a brightness in the range ``luma``."""
    color = rng.random(3, dtype=np.float32)
    red, green, blue = color.tolist()
    gray = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.clip(rng.uniform(*luma) + np.float32(SATURATION) * (color - np.float32(gray)), 0, 1)


def _thing(
    rng: np.random.Generator, shape: str, texture: str, x: float, y: float, scale: float
) -> Thing:
    """Draw an object of random colors, angle, pattern and light."""
    colors = [_color(rng, DARK), _color(rng, BRIGHT)]
    if rng.random() < 0.5:
        colors.reverse()
    # Patterns that have a middle keep it near the middle of the object.
    shift = scale * (0.1 if texture in ('halved', 'ringed', 'sectored') else 0.5)
    light_angle = rng.uniform(0, 2 * math.pi)
    slope = rng.uniform(0, 0.45)
    return Thing(
        shape=shape,
        texture=texture,
        x=x,
        y=y,
        scale=scale,
        angle=rng.uniform(-MAX_TILT, MAX_TILT),
        colors=np.stack(colors),
        period=scale * rng.uniform(0.26, 0.4),
        texture_angle=rng.uniform(-MAX_TILT, MAX_TILT),
        phase=(rng.uniform(-shift, shift), rng.uniform(-shift, shift)),
        softness=rng.uniform(1.0, 1.8),
        shading=(slope * math.cos(light_angle), slope * math.sin(light_angle)),
        shadow=(
            scale * rng.uniform(-0.12, 0.12),
            scale * rng.uniform(-0.12, 0.12),
            rng.uniform(0, 0.5),
        ),
    )


def _point_on_border(rng: np.random.Generator, size: int) -> tuple[float, float]:
    place, side = rng.uniform(0, size), int(rng.integers(4))
    return [(place, 0.0), (place, float(size)), (0.0, place), (float(size), place)][side]


def _clutter(rng: np.random.Generator, canvas: Array, count: int) -> None:
    """Draw thin, weak strokes right across the image."""
    size = canvas.shape[0]
    for _ in range(count):
        width = size * rng.uniform(0.012, 0.04)
        start, end = _point_on_border(rng, size), _point_on_border(rng, size)
        shapes.stroke(canvas, start, end, width, _color(rng, ANY), rng.uniform(0.3, 0.8))


def _surface(rng: np.random.Generator, size: int, fine: tuple[int, int], grain: float) -> Array:
    """Draw a surface: a color, a slope of color, coarse blotches and finer grain."""
    base, step = _color(rng, MIDDLE), (rng.random(3, dtype=np.float32) - 0.5) * 0.2
    surface = base + shapes.ramp(size, rng.uniform(0, 2 * math.pi))[..., None] * step
    surface += 0.12 * shapes.smooth_noise(rng, size, (3, 3), 3)
    surface += grain * shapes.smooth_noise(rng, size, fine, 1)
    return surface


def _expose(rng: np.random.Generator, canvas: Array) -> Image:
    """Add light from one side and sensor noise, and round to a uint8 image."""
    size = canvas.shape[0]
    canvas = canvas * (
        rng.uniform(0.92, 1.05)
        + rng.uniform(0, 0.2) * shapes.ramp(size, rng.uniform(0, 2 * math.pi))
        + rng.uniform(0, 0.1) * shapes.smooth_noise(rng, size, (2, 2), 1)[..., 0]
    )[..., None].astype(np.float32)
    noise = rng.standard_normal(canvas.shape, dtype=np.float32)
    canvas += noise * np.float32(rng.uniform(0.01, 0.04))
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


def draw_classification_image(rng: np.random.Generator, label: int, size: int) -> Image:
    """Draw one main object of class ``label`` among smaller ones and behind a few strokes.

    Returns:
        uint8 ``(size, size, 3)``, RGB.
    """
    shape, texture = CLASSES[label].split('_')
    canvas = _surface(rng, size, (12, 12), rng.uniform(0, 0.12))
    _clutter(rng, canvas, int(rng.integers(0, 4)))
    # Small objects lie anywhere, behind the main one; their outlines and patterns mean nothing.
    for _ in range(int(rng.integers(0, 4))):
        scale = size * rng.uniform(0.09, 0.17)
        small_shape = SHAPES[int(rng.integers(len(SHAPES)))]
        small_texture = TEXTURES[int(rng.integers(len(TEXTURES)))]
        x, y = rng.uniform(0, size), rng.uniform(0, size)
        shapes.paint(canvas, _thing(rng, small_shape, small_texture, x, y, scale))
    scale = size * rng.uniform(0.48, 0.66)
    room = max(size / 2 - 0.6 * scale, 0.0)
    x = size / 2 + rng.uniform(-room, room)
    y = size / 2 + rng.uniform(-room, room)
    shapes.paint(canvas, _thing(rng, shape, texture, x, y, scale))
    # Strokes and a small plain object in front hide a part of it.
    for _ in range(int(rng.integers(0, 3))):
        angle, reach = rng.uniform(0, 2 * math.pi), scale * rng.uniform(0.3, 0.7)
        middle_x = x + rng.uniform(-0.5, 0.5) * scale
        middle_y = y + rng.uniform(-0.5, 0.5) * scale
        along_x, along_y = reach * math.cos(angle), reach * math.sin(angle)
        shapes.stroke(
            canvas,
            (middle_x - along_x, middle_y - along_y),
            (middle_x + along_x, middle_y + along_y),
            size * rng.uniform(0.02, 0.06),
            _color(rng, ANY),
        )
    if rng.random() < 0.4:
        angle, small = rng.uniform(0, 2 * math.pi), size * rng.uniform(0.08, 0.15)
        small_shape = SHAPES[int(rng.integers(len(SHAPES)))]
        x, y = x + 0.5 * scale * math.cos(angle), y + 0.5 * scale * math.sin(angle)
        shapes.paint(canvas, _thing(rng, small_shape, 'plain', x, y, small))
    return _expose(rng, canvas)


def _visible(things: list[Thing], blocked: Mask, size: int) -> tuple[list[Mask], list[float]]:
    """Return visible mask and share of each object, ``blocked`` being in front of all."""
    masks, shares, covered = [], [], blocked.copy()
    for thing in reversed(things):
        mask, area = shapes.mask_of(thing, size)
        seen = mask & ~covered
        covered |= mask
        masks.append(seen)
        shares.append(np.count_nonzero(seen) / area)
    return masks[::-1], shares[::-1]


def _place_things(rng: np.random.Generator, size: int) -> list[Thing]:
    things = []
    for _ in range(int(rng.integers(MIN_THINGS, MAX_THINGS + 1))):
        scale = size * rng.uniform(0.19, 0.38)
        x, y = rng.uniform(0.12, 0.88) * size, rng.uniform(0.12, 0.88) * size
        shape = SHAPES[int(rng.integers(len(SHAPES)))]
        texture = TEXTURES[int(rng.integers(len(TEXTURES)))]
        things.append(_thing(rng, shape, texture, x, y, scale))
    return things


def _label_map(ground: Mask, pole: Mask, labels: list[int], masks: list[Mask]) -> Mask:
    label_map = np.where(ground, GROUND, SKY).astype(np.uint8)
    for label, mask in zip(labels, masks, strict=True):
        label_map[mask] = label + 1
    label_map[pole] = 0
    # A line of one pixel between regions stays unlabelled, as outlines do in hand-drawn maps.
    border = np.zeros_like(ground)
    border[:, :-1] |= label_map[:, :-1] != label_map[:, 1:]
    border[:-1, :] |= label_map[:-1, :] != label_map[1:, :]
    label_map[border] = 0
    return label_map


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
    """Draw a scene of 2 to 5 partly overlapping objects between sky and ground.

    Objects of which less than ``MIN_VISIBLE`` would be seen (hidden, or cut off by the image's
    border) are taken out of the scene before it is drawn; where too few are left, all are placed
    anew. The pole that stands in front of some scenes belongs to no class.
    """
    sky = _surface(rng, size, (6, 2), 0.05)
    ground = _surface(rng, size, (24, 8), rng.uniform(0.1, 0.25))
    tilt, level = rng.uniform(-0.25, 0.25), size * rng.uniform(0.3, 0.7)
    middles = np.arange(size, dtype=np.float32) + np.float32(0.5)
    waves = 0.05 * size * shapes.smooth_noise(rng, size, (1, 5), 1)[0, :, 0]
    depth = middles[:, None] - (level + tilt * (middles - size / 2) + waves)[None, :]
    canvas = sky + np.clip(0.5 + depth, 0, 1)[..., None] * (ground - sky)
    _clutter(rng, canvas, int(rng.integers(0, 4)))

    pole = np.zeros((size, size), dtype=bool)
    pole_at = None
    if rng.random() < 0.3:
        foot, top = rng.uniform(0.1, 0.9) * size, rng.uniform(0.1, 0.9) * size
        pole_at = ((top, -size * 0.1), (foot, size * 1.1), size * rng.uniform(0.025, 0.045))
        pole = shapes.stroke(np.zeros_like(canvas), *pole_at, np.zeros(3, dtype=np.float32))

    things, masks = [], []
    while len(things) < MIN_THINGS:
        things = _place_things(rng, size)
        masks, shares = _visible(things, pole, size)
        while min(shares) < MIN_VISIBLE:
            # Without the object that shows least its neighbors show more: look again each time.
            things.pop(int(np.argmin(shares)))
            masks, shares = _visible(things, pole, size)
    for thing in things:
        shapes.paint(canvas, replace(thing, softness=min(thing.softness, 1.4)))
    if pole_at is not None:
        shapes.stroke(canvas, *pole_at, _color(rng, ANY))
    labels = [SHAPES.index(thing.shape) for thing in things]
    return Scene(_expose(rng, canvas), labels, masks, _label_map(depth >= 0, pole, labels, masks))
