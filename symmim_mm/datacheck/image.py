"""One picture file, read as training reads it."""

import os
import tempfile
from io import BytesIO
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from symmim_mm.datacheck.header import FORMATS, Header, any_size, name_fits, read_header
from symmim_mm.datasets.transforms.apng import still_png

PATCH = 16
MAX_PIXELS = Image.MAX_IMAGE_PIXELS  # Pillow's limit, above which it suspects an attack
BYTES_PER_PIXEL = 8  # 4 channels of 16 bits: no honest file needs more
REASON = 120  # characters of another program's message that are shown


class Options(NamedTuple):
    """What all pictures of a check share.

    ``decode``: decode pixels, not only headers. ``classes``: the number of classes of class maps.
    """

    root: str
    decode: bool = True
    max_pixels: int = MAX_PIXELS
    classes: int = 0


class Complaints:
    """What the C libraries below OpenCV print about a picture that they decode all the same.

    They write to file descriptor 2, which therefore leads to a file that is read after every
    picture. Only for processes of our own: nothing printed there is seen afterwards.
    """

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process lives
        os.dup2(self.file.fileno(), 2)

    def take(self) -> str:
        """What was printed since the last call, as one short line."""
        size = os.fstat(2).st_size
        if not size:
            return ''
        text = os.pread(2, size, 0).decode('utf-8', 'replace')
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
        return ' '.join(text.split())[:REASON]


def too_long(size: int, options: Options) -> bool:
    """Whether a file of ``size`` bytes is longer than any picture of the allowed pixels."""
    return size > BYTES_PER_PIXEL * options.max_pixels + 2**20


def decode(data: bytes, header: Header | None) -> np.ndarray | None:
    """Decode as :class:`Picture` does, or None where it cannot.

    JPEGs are decoded at an eighth of their size: every bit is read and checked as for the whole,
    which tests compare, in 60 % of the time.
    """
    array = np.frombuffer(still_png(data), np.uint8)
    small = header is not None and header.format in ('JPEG', 'MPO')
    for flag in (cv2.IMREAD_REDUCED_COLOR_8, cv2.IMREAD_COLOR) if small else (cv2.IMREAD_COLOR,):
        try:
            picture = cv2.imdecode(array, flag)
        except cv2.error:
            picture = None
        if picture is not None:
            return picture
    return None


def inspect_picture(
    path: str, name: str, options: Options, complaints: Complaints | None = None
) -> tuple[list[tuple[str, str]], tuple[int, int] | None]:
    """Check one picture file.

    Args:
        path: where the file is.
        name: its name, whose extension is compared with its format.
        options: ``decode`` and ``max_pixels`` are used.
        complaints: what catches the printed warnings of the decoder, if any.

    Returns:
        Findings as ``(kind, text)``, and ``(width, height)`` as training sees the picture, None
        where it could not be read.
    """
    try:
        with open(path, 'rb') as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                return [('empty', '')], None
            if too_long(size, options):
                return [('enormous', f'{size:,} bytes')], None
            if not options.decode:
                header = read_header(file)
                known = header is not None or cv2.haveImageReader(path)
                return _judge(header, name, options, known, None)
            data = file.read()
    except OSError as error:
        return [('unreadable', error.strerror or str(error))], None
    header = read_header(BytesIO(data))
    if header is not None and header.width * header.height > options.max_pixels:
        return _judge(header, name, options, True, None)
    if complaints:
        complaints.take()
    picture = decode(data, header)
    complaint = complaints.take() if complaints else ''
    findings, loaded = _judge(header, name, options, picture is not None, picture)
    if picture is None:
        kind, text = findings[0]
        reason = (pillow_complaint(data) if header else '') or complaint
        return [(kind, f'{text}: {reason}' if reason else text)], None
    if complaint:
        findings.append(('complaint', complaint))
    return findings, loaded


def _judge(
    header: Header | None, name: str, options: Options, readable: bool, picture: np.ndarray | None
) -> tuple[list[tuple[str, str]], tuple[int, int] | None]:
    """Findings and loaded size from a header and, where it was decoded, the picture."""
    if header is None:
        if not readable:
            return [('not-a-picture', '')], None
        return [], None if picture is None else picture.shape[1::-1]
    if header.width * header.height > options.max_pixels:
        text = f'{header} is {header.width * header.height:,} pixels'
        return [('enormous', text)], None
    if not readable:
        return [('cut-off', str(header))], None
    findings = []
    if not name_fits(header, name):
        findings.append(('wrong-extension', header.format))
    if header.mode == 'CMYK':
        findings.append(('cmyk', ''))
    if header.deep:
        findings.append(('16-bit', f'{header.format} {header.mode}'))
    if header.mode in ('P', 'PA'):
        findings.append(('palette', header.format))
    if header.transparent:
        findings.append(('transparent', ''))
    if header.frames:
        findings.append(('animated', header.format))
    loaded = _loaded_size(header, picture)
    if header.orientation != 1 or loaded != header.loaded_size:
        findings.append(('rotated', f'orientation {header.orientation}'))
    if min(header.width, header.height) < PATCH:
        findings.append(('tiny', f'{header.width} x {header.height}'))
    return findings, loaded


def _loaded_size(header: Header, picture: np.ndarray | None) -> tuple[int, int]:
    """``(width, height)`` as OpenCV loads the picture.

    The decoded picture has the last word: with malformed EXIF data, or data behind the pixels of
    a PNG, Pillow and OpenCV do not find the same orientation.
    """
    size = header.loaded_size
    if picture is None:
        return size
    decoded = picture.shape[1::-1]
    eighth = tuple(-(-side // 8) for side in size)
    if decoded in (size, eighth):
        return size
    return size[::-1] if decoded == eighth[::-1] else decoded


def pillow_complaint(data: bytes) -> str:
    """Why Pillow cannot decode a picture, '' where it can."""
    try:
        with any_size(), Image.open(BytesIO(data), formats=FORMATS) as picture:
            picture.load()
    except Exception as error:  # whatever a damaged picture brings about
        return ' '.join(str(error).split())[:REASON]
    return ''
