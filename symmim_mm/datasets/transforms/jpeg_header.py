"""The parts of a JPEG header that are needed to decode a region, read from its markers.

Marker codes and segment layouts are those of ITU-T T.81, annex B.
"""

from typing import NamedTuple

from symmim_mm.datasets.transforms.exif_orientation import read_orientation

START = b'\xff\xd8'
END = b'\xff\xd9'
FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended sequential, progressive; all Huffman coded
OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}  # lossless, arithmetic, ...
PROGRESSIVE = 0xC2
RESTART_INTERVAL, SCAN, APP1 = 0xDD, 0xDA, 0xE1
WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
LEAST_FRAME = 13  # bytes, of one component


class JpegHeader(NamedTuple):
    """A JPEG of 8 bits with one or three components, Huffman coded.

    ``width``, ``height`` are as stored, before ``orientation`` (EXIF, 1 to 8) is applied;
    ``unit_width``, ``unit_height`` the pixels of a minimum coded unit; ``restart`` the units from
    one restart marker to the next, 0 for none; ``one_scan`` whether one scan holds everything;
    ``frame`` and ``scan`` the positions of the frame's marker and of the first coded byte.
    """

    width: int
    height: int
    orientation: int
    unit_width: int
    unit_height: int
    restart: int
    one_scan: bool
    frame: int
    scan: int


def read_jpeg_header(data: bytes) -> JpegHeader | None:
    """Read the markers up to the first scan.

    Returns:
        The header, or None where ``data`` is no JPEG or one of a rarer kind: CMYK, 12 bits,
        arithmetic coding, lossless, a height given only after the scan.
    """
    if data[:2] != START:
        return None
    position, end = 2, len(data) - 4
    frame = restart = orientation = 0
    while position < end:
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in WITHOUT_LENGTH:
            position += 2
            continue
        length = data[position + 2] << 8 | data[position + 3]
        if marker in FRAMES:
            frame = position
        elif marker in OTHER_FRAMES:
            return None
        elif marker == RESTART_INTERVAL:
            restart = data[position + 4] << 8 | data[position + 5]
        elif marker == APP1 and not orientation:  # OpenCV takes the first for EXIF, whatever it is
            orientation = read_orientation(data[position + 10 : position + 2 + length])
        elif marker == SCAN:
            return _header(data, frame, position, orientation or 1, restart)
        position += 2 + length
    return None


def _header(
    data: bytes, frame: int, scan: int, orientation: int, restart: int
) -> JpegHeader | None:
    if not frame or scan < frame + LEAST_FRAME:
        return None
    height, width = data[frame + 5] << 8 | data[frame + 6], data[frame + 7] << 8 | data[frame + 8]
    components = data[frame + 9]
    if data[frame + 4] != 8 or components not in (1, 3) or not width or not height:
        return None
    across = down = 1  # of one component, a unit is one block whatever its factors say
    if components == 3:
        factors = [data[frame + 11 + 3 * i] for i in range(3)]
        across, down = max(f >> 4 for f in factors), max(f & 15 for f in factors)
        if not all(1 <= part <= 4 for f in factors for part in (f >> 4, f & 15)):
            return None
    return JpegHeader(
        width=width,
        height=height,
        orientation=orientation,
        unit_width=8 * across,
        unit_height=8 * down,
        restart=restart,
        one_scan=data[frame + 1] != PROGRESSIVE and data[scan + 4] == components,
        frame=frame,
        scan=scan + 2 + (data[scan + 2] << 8 | data[scan + 3]),
    )
