"""One image file, read as training reads it."""

import os
import tempfile
from io import BytesIO
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from symmim_mm.datacheck.header import FORMATS, Header, any_size, name_fits, read_header
from symmim_mm.datasets.transforms.decode import decode_image

PATCH = 16
MAX_PIXELS = Image.MAX_IMAGE_PIXELS  # Pillow's limit, above which it suspects an attack
BYTES_PER_PIXEL = 8  # 4 channels of 16 bits: no honest file needs more
REASON = 120  # characters of another program's message that are shown


class Options(NamedTuple):
    """What all images of a check share.

    ``decode``: decode pixels, not only headers. ``classes``: the number of classes of label maps.
    """

    root: str
    decode: bool = True
    max_pixels: int = MAX_PIXELS
    classes: int = 0


class DecoderWarnings:
    """What the C libraries below OpenCV print about an image that they decode all the same.

    They write to file descriptor 2, which therefore leads to a file that is read after every
    image. Only for processes of our own: nothing printed there is seen afterwards.
    """

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process lives
        os.dup2(self.file.fileno(), 2)

    def take(self) -> str:
        """Return what was printed since the last call, as one short line."""
        size = os.fstat(2).st_size
        if not size:
            return ''
        text = os.pread(2, size, 0).decode('utf-8', 'replace')
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
        return ' '.join(text.split())[:REASON]


def too_long(size: int, options: Options) -> bool:
    """Return whether a file of ``size`` bytes is longer than any image of the allowed pixels."""
    return size > BYTES_PER_PIXEL * options.max_pixels + 2**20


def decode(data: bytes, header: Header | None) -> np.ndarray | None:
    """Decode as training does, or return None where that fails.

    JPEGs are decoded at an eighth of their size: every bit is read and checked as for the whole,
    which tests compare, in 60 % of the time.
    """
    if header is not None and header.format in ('JPEG', 'MPO'):
        small = decode_image(data, cv2.IMREAD_REDUCED_COLOR_8)
        if small is not None:
            return small
    return decode_image(data)


def inspect_image(
    path: str, name: str, options: Options, warnings: DecoderWarnings | None = None
) -> tuple[list[tuple[str, str]], tuple[int, int] | None]:
    """Check one image file.

    Args:
        path: where the file is.
        name: its name, whose extension is compared with its format.
        options: ``decode`` and ``max_pixels`` are used.
        warnings: what catches the printed warnings of the decoder, if any.

    Returns:
        Findings as ``(kind, text)``, and ``(width, height)`` as training sees the image, None
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
    if warnings:
        warnings.take()
    pixels = decode(data, header)
    warning = warnings.take() if warnings else ''
    findings, loaded = _judge(header, name, options, pixels is not None, pixels)
    if pixels is None:
        kind, text = findings[0]
        reason = (pillow_error(data) if header else '') or warning
        return [(kind, f'{text}: {reason}' if reason else text)], None
    if warning:
        findings.append(('decoder-warning', warning))
    return findings, loaded


def _judge(
    header: Header | None, name: str, options: Options, readable: bool, pixels: np.ndarray | None
) -> tuple[list[tuple[str, str]], tuple[int, int] | None]:
    """Return findings and loaded size by a header and, where they were decoded, the pixels."""
    if header is None:
        if not readable:
            return [('not-an-image', '')], None
        return [], None if pixels is None else pixels.shape[1::-1]
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
    loaded = _loaded_size(header, pixels)
    if header.orientation != 1 or loaded != header.loaded_size:
        findings.append(('rotated', f'orientation {header.orientation}'))
    if min(header.width, header.height) < PATCH:
        findings.append(('tiny', f'{header.width} x {header.height}'))
    return findings, loaded


def _loaded_size(header: Header, pixels: np.ndarray | None) -> tuple[int, int]:
    """Return ``(width, height)`` as OpenCV loads the image.

    The decoded image has the last word: with malformed EXIF data, or data behind the pixels of
    a PNG, Pillow and OpenCV do not find the same orientation.
    """
    size = header.loaded_size
    if pixels is None:
        return size
    decoded = pixels.shape[1::-1]
    eighth = tuple(-(-side // 8) for side in size)
    if decoded in (size, eighth):
        return size
    return size[::-1] if decoded == eighth[::-1] else decoded


def pillow_error(data: bytes) -> str:
    """Return why Pillow cannot decode an image, '' where it can."""
    try:
        with any_size(), Image.open(BytesIO(data), formats=FORMATS) as image:
            image.load()
    except Exception as error:  # a damaged file makes Pillow's readers raise almost anything
        return ' '.join(str(error).split())[:REASON]
    return ''
