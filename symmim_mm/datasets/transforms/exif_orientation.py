"""EXIF orientation: reading it, and cropping a picture before it is turned upright."""

import numpy as np

from symmim_mm.datasets.transforms.box import Box

ORIENTATION_TAG = 0x0112
SHORT = 3  # TIFF's type of a 16-bit whole number

# Orientation -> (transpose, then turn upside down, then mirror left-right); EXIF 2.32, 4.6.4.
TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def read_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that an EXIF block gives; 1 where it gives none.

    Args:
        exif: from the byte order mark of its TIFF header on. Anything damaged counts as upright,
            as it does for OpenCV.
    """
    order = {b'II': 'little', b'MM': 'big'}.get(bytes(exif[:2]))
    if order is None:
        return 1
    start = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[start : start + 2], order)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        if int.from_bytes(exif[entry : entry + 2], order) != ORIENTATION_TAG:
            continue
        if int.from_bytes(exif[entry + 2 : entry + 4], order) != SHORT:
            return 1
        value = int.from_bytes(exif[entry + 8 : entry + 10], order)
        return value if value in TURNS else 1
    return 1


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """``(width, height)`` after a stored picture has been turned upright."""
    return (height, width) if TURNS[orientation][0] else (width, height)


def stored_box(box: Box, width: int, height: int, orientation: int) -> Box:
    """Where a box of the upright picture is in the stored one.

    Args:
        box: in the upright picture.
        width, height: of the stored picture.
    """
    transpose, upside_down, mirror = TURNS[orientation]
    width, height = upright_size(width, height, orientation)
    top, left, bottom, right = box
    if upside_down:
        top, bottom = height - bottom, height - top
    if mirror:
        left, right = width - right, width - left
    return Box(left, top, right, bottom) if transpose else Box(top, left, bottom, right)


def turn_upright(picture: np.ndarray, orientation: int) -> np.ndarray:
    """A view of a stored picture ``(H, W, C)``, or of a part of it, turned upright."""
    transpose, upside_down, mirror = TURNS[orientation]
    if transpose:
        picture = picture.transpose(1, 0, 2)
    if upside_down:
        picture = picture[::-1]
    return picture[:, ::-1] if mirror else picture
