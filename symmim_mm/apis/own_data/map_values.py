"""What label maps hold: their values, and whether these are numbers of classes at all."""

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import cv2
import numpy as np

from symmim_mm.datasets.label_maps import read_label_map
from symmim_mm.datasets.transforms.decode import IGNORED
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.utils.paths import open_regular

JPEG_SIGNATURE = b'\xff\xd8\xff'

# A mask of 0 and 255 whose edges were smoothed, see `are_smoothed`.
EXTREME = 0.7  # least share of the pixels with 0 or 255
BETWEEN = 3  # least number of other values: halving with OpenCV's default makes 64, 128 and 191
# Least share of the other pixels that are steps: 0.6 to 1 where masks were resized, blurred, drawn
# with smooth lines or compressed; at most 0.2 of regions, scribbles and points next to 255.
STEPS = 0.5


class MapValues(NamedTuple):
    """What one label map holds."""

    values: frozenset[int]
    size: tuple[int, int]  # width and height
    extreme: int  # pixels with 0 or 255
    steps: int  # pixels with another value, and in the 3 x 3 around them lower and higher ones


def read_values(path: str) -> MapValues:
    """Read the values of a label map.

    Raises:
        ImageError: it cannot be read, or is a JPEG.
    """
    with suppress(OSError), open_regular(path) as file:  # reading it whole says why
        if file.read(len(JPEG_SIGNATURE)) == JPEG_SIGNATURE:
            raise ImageError(
                f'{path} is a JPEG, whose compression changes the numbers of classes: write label '
                'maps as PNG, from what they were before'
            )
    labels = read_label_map(path)
    counts = np.bincount(labels.ravel(), minlength=IGNORED + 1)
    extreme, steps = int(counts[0] + counts[IGNORED]), 0
    if extreme < labels.size:
        around = np.ones((3, 3), np.uint8)
        higher, lower = cv2.dilate(labels, around) > labels, cv2.erode(labels, around) < labels
        steps = int((higher & lower).sum())  # which 0 and 255 never are
    return MapValues(frozenset(np.flatnonzero(counts).tolist()), labels.shape[::-1], extreme, steps)


def are_smoothed(maps: Sequence[MapValues]) -> bool:
    """Return whether label maps are masks of 0 and 255 with smoothed edges.

    What is between 0 and 255 then are steps of a slope, from side to side, and no regions. Numbers
    of classes next to 255 for what is ignored make regions, or lines on one other value.
    """
    values = set().union(*(found.values for found in maps))
    between = values - {0, IGNORED}
    pixels = sum(math.prod(found.size) for found in maps)
    extreme = sum(found.extreme for found in maps)
    middle = (IGNORED + 1) // 2
    return (
        {0, IGNORED} <= values
        and len(between) >= BETWEEN
        and min(between) < middle <= max(between)
        and extreme > EXTREME * pixels
        and sum(found.steps for found in maps) > STEPS * (pixels - extreme)
    )
