"""The masks of COCO annotations: polygons and run lengths, judged without drawing them."""

import math
from itertools import chain
from typing import Any, NamedTuple

from symmim_mm.datasets.transforms.decode import FindingError

SLACK = 1.0  # pixels that a box or polygon may reach over the edge
POINTS = 3  # a polygon of fewer points is skipped by MMDetection
FARTHEST = 1e6  # of a polygon in pixels: pycocotools draws all of it, and crashes from 1e8 on
BITS = 5  # of each character of a compressed run length
FIRST_CHARACTER = 48
MOST_BITS = 60  # of one number: what pycocotools' long takes of whole characters


class Extent(NamedTuple):
    """Left, top, right and bottom edge in pixels; images are ``(width, height)``."""

    left: float
    top: float
    right: float
    bottom: float

    def __str__(self) -> str:
        return str([round(value, 2) for value in self])

    def is_outside(self, size: tuple[int, int]) -> bool:
        """Return whether nothing of it is in an image."""
        width, height = size
        return self.right <= 0 or self.bottom <= 0 or self.left >= width or self.top >= height

    def is_inside(self, size: tuple[int, int]) -> bool:
        """Return whether all of it is in an image, but for some slack."""
        return (
            min(self.left, self.top) >= -SLACK
            and self.right <= size[0] + SLACK
            and self.bottom <= size[1] + SLACK
        )

    def touches(self, other: 'Extent') -> bool:
        """Return whether it overlaps another one, but for some slack."""
        return (
            max(self.left, other.left) <= min(self.right, other.right) + SLACK
            and max(self.top, other.top) <= min(self.bottom, other.bottom) + SLACK
        )


def mask_extent(mask: Any, size: tuple[int, int]) -> Extent | None:
    """Return the extent of a COCO ``segmentation``; None for run lengths, always inside.

    The mask is a list of polygons ``[x, y, x, y, ...]`` or ``{'size': [h, w], 'counts': ...}``, and
    ``size`` is that of the image. FindingError says what is wrong.
    """
    if not mask:
        raise FindingError('segmentation-empty')
    if isinstance(mask, dict):
        check_run_lengths(mask, size)
        return None
    if not isinstance(mask, list) or not all(isinstance(polygon, list) for polygon in mask):
        raise FindingError('json-layout', 'segmentation is neither polygons nor run lengths')
    whole = [part for part in mask if len(part) >= 2 * POINTS and len(part) % 2 == 0]
    if not whole:
        raise FindingError('polygon-short', f'{max(map(len, mask))} numbers')
    try:
        finite = math.isfinite(sum(map(sum, whole)))
    except (TypeError, OverflowError):
        finite = False
    if not finite:
        raise FindingError('json-layout', 'a polygon holds something else than finite numbers')
    xs = list(chain.from_iterable(part[0::2] for part in whole))
    ys = list(chain.from_iterable(part[1::2] for part in whole))
    extent = Extent(min(xs), min(ys), max(xs), max(ys))
    if max(map(abs, extent)) > FARTHEST:
        raise FindingError('json-layout', f'a polygon reaches to {max(extent, key=abs):g}')
    return extent


def check_run_lengths(mask: dict[str, Any], size: tuple[int, int]) -> None:
    """Check that run lengths cover the image exactly.

    pycocotools decodes too short ones to uninitialized memory, and accepts any string as compressed
    run lengths. Others raise FindingError.
    """
    shape, counts = mask.get('size'), mask.get('counts')
    if not isinstance(counts, list | str) or not isinstance(shape, list) or len(shape) != 2:
        raise FindingError('rle', 'run lengths need size [height, width] and counts')
    if shape != [size[1], size[0]]:
        raise FindingError('rle', f'made for {shape[1]} x {shape[0]}, image {size[0]} x {size[1]}')
    lengths = counts if isinstance(counts, list) else expand_run_lengths(counts)
    if lengths is None or not all(type(n) is int and 0 <= n < 2**32 for n in lengths):
        raise FindingError('rle', 'counts are not run lengths')
    pixels = size[0] * size[1]
    if sum(lengths) != pixels:
        raise FindingError('rle', f'run lengths cover {sum(lengths):,} of {pixels:,} pixels')


def expand_run_lengths(text: str) -> list[int] | None:
    """Expand COCO's compressed run lengths (``rleToString`` of pycocotools' maskApi.c).

    Each number is a row of characters, 5 bits each, lowest first, the sixth bit saying that more
    follow; the last one's sign bit is the number's. From the fourth number on, the difference to
    the last but one is stored. None where the string is no such code, or a number too long for
    pycocotools.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - FIRST_CHARACTER
        if not 0 <= bits < 64:
            return None
        value |= (bits & 0x1F) << shift
        shift += BITS
        if bits & 0x20:
            if shift == MOST_BITS:
                return None
            continue
        if bits & 0x10:
            value -= 1 << shift
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    return None if shift else lengths
