"""EXIF orientation: reading it, and cropping an image before it is turned upright."""

import numpy as np

ORIENTATION_TAG = 0x0112
TIFF_MARK = 42

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
    """Return the orientation, 1 to 8, that an EXIF block gives; 1 where it gives none.

    The block begins with the byte order mark of its TIFF header. It is read as OpenCV reads it,
    which does not look at the type of the number; anything damaged counts as upright.
    """
    order = {b'II': 'little', b'MM': 'big'}.get(bytes(exif[:2]))

    def number(start: int, size: int = 2) -> int:
        return int.from_bytes(exif[start : start + size], order)

    if order is None or number(2) != TIFF_MARK:
        return 1
    start = number(4, size=4)
    for entry in range(start + 2, min(start + 2 + 12 * number(start), len(exif) - 9), 12):
        if number(entry) == ORIENTATION_TAG:
            return number(entry + 8) if number(entry + 8) in TURNS else 1
    return 1


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return ``(width, height)`` of a stored image after it has been turned upright."""
    return (height, width) if TURNS[orientation][0] else (width, height)


def stored_box(
    box: tuple[int, int, int, int], width: int, height: int, orientation: int
) -> tuple[int, int, int, int]:
    """Return where a region of the upright image is in the stored one of ``width`` x ``height``.

    Both are ``(top, left, height, width)``.
    """
    transpose, upside_down, mirror = TURNS[orientation]
    width, height = upright_size(width, height, orientation)
    top, left, rows, columns = box
    if upside_down:
        top = height - top - rows
    if mirror:
        left = width - left - columns
    return (left, top, columns, rows) if transpose else (top, left, rows, columns)


def turn_upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return a view of a stored image ``(H, W, C)``, or of a part of it, turned upright."""
    transpose, upside_down, mirror = TURNS[orientation]
    if transpose:
        image = image.transpose(1, 0, 2)
    if upside_down:
        image = image[::-1]
    return image[:, ::-1] if mirror else image
