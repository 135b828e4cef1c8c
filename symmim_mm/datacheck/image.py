"""One image file or label map, read as training reads it."""

import os
import tempfile
from io import BytesIO
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from symmim_mm.datacheck.header import FORMATS, Header, any_size, read_header
from symmim_mm.datasets.transforms.decode import (
    IGNORED,
    FindingError,
    decode_image,
    decode_label_map,
)
from symmim_mm.datasets.transforms.tiff import unread_in_tiff
from symmim_mm.utils.text import counted

PATCH = 16
MAX_PIXELS = Image.MAX_IMAGE_PIXELS  # Pillow's limit, above which it suspects an attack
BYTES_PER_PIXEL = 8  # 4 channels of 16 bits: no honest file needs more
REASON = 120  # characters of another program's message that are shown
JPEGS = ('JPEG', 'MPO')
SHOWN = 5  # stray labels named


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
        return _one_line(text)


def _one_line(message: object) -> str:
    """Return the start of another program's message, in one line."""
    return ' '.join(str(message).split())[:REASON]


def _read(path: str, options: Options) -> tuple[bytes, Header | None]:
    """Return the bytes of an image or label map, if it will be decoded all of them, and its header.

    The header is None where Pillow finds none.

    Raises:
        FindingError: it cannot be read, or is larger than allowed.
    """
    try:
        with open(path, 'rb') as file:
            size = os.fstat(file.fileno()).st_size
            if size > BYTES_PER_PIXEL * options.max_pixels + 2**20:
                raise FindingError('enormous', f'{size:,} bytes')
            header = read_header(file)
            if header is not None and header.pixels > options.max_pixels:
                raise FindingError('enormous', f'{header} is {header.pixels:,} pixels')
            file.seek(0)
            return file.read(-1 if options.decode else 1), header
    except OSError as error:
        raise FindingError('unreadable', error.strerror or str(error)) from error


def inspect_image(
    path: str, name: str, options: Options, warnings: DecoderWarnings | None = None
) -> tuple[list[tuple[str, str]], tuple[int, int] | None]:
    """Check one image file, whose format is compared with the extension of ``name``.

    Returns:
        Findings as ``(kind, text)``, and ``(width, height)`` as training sees the image, None
        where it could not be read.
    """
    try:
        data, header = _read(path, options)
        if not data:
            raise FindingError('empty')
        if options.decode:
            pixels, findings = _decode(data, header, warnings)
        elif header is None and not cv2.haveImageReader(os.fsencode(path)):
            raise FindingError('not-an-image')
        else:
            pixels, findings = None, []
    except FindingError as error:
        return [(error.kind, str(error))], None
    if header is None:
        return findings, None if pixels is None else pixels.shape[1::-1]
    findings += header.findings
    if not header.fits_name(name):
        findings.append(('wrong-extension', header.format))
    loaded = _loaded_size(header, pixels)
    if header.orientation != 1 or loaded != header.loaded_size:
        findings.append(('rotated', f'orientation {header.orientation}'))
    if min(header.width, header.height) < PATCH:
        findings.append(('tiny', f'{header.width} x {header.height}'))
    return findings, loaded


def inspect_label_map(
    path: str, options: Options, size: tuple[int, int] | None
) -> tuple[list[tuple[str, str]], int]:
    """Check one label map: 0 is unlabeled, 1 to ``options.classes`` are classes, 255 is ignored.

    ``size`` is ``(width, height)`` of its image as loaded, None where that is not known.

    Returns:
        Findings as ``(kind, text)``, and the highest class in the map, -1 where it was not read.
    """
    try:
        data, header = _read(path, options)
        if header is None:
            raise FindingError('map-unreadable', '' if data else '0 bytes')
    except FindingError as error:
        return [(error.kind, str(error))], -1
    findings = []
    if size and (header.width, header.height) != size:
        # Pillow does not turn a label map by EXIF data, OpenCV turns the image.
        text = f'label map {header.width} x {header.height}, image {size[0]} x {size[1]}'
        findings.append(('size-differs', text))
    if header.format in JPEGS:
        findings.append(('map-lossy', header.format))
    if header.mode == 'F':
        return [*findings, ('map-float', str(header))], -1
    if not options.decode:
        return findings, -1
    try:
        with any_size():
            values = decode_label_map(data, FORMATS)
    except FindingError as error:
        if error.kind == 'map-unreadable':
            return [(error.kind, f'{header}: {_one_line(error)}')], -1
        return [*findings, (error.kind, str(error))], -1
    found = np.unique(values)
    labels = found[(found != 0) & (found != IGNORED)]
    stray = labels[(labels < 0) | (labels > options.classes)]
    if len(stray):
        named = ', '.join(str(value) for value in stray[:SHOWN])
        more = ', ...' if len(stray) > SHOWN else ''
        pixels = counted(int(np.isin(values, stray).sum()), 'pixel')
        findings.append(('stray-label', f'{named}{more} in {pixels}, {header.mode}'))
    if not len(labels):
        findings.append(('unlabeled', ''))
    return findings, int(labels.max(initial=0))


def _decode(
    data: bytes, header: Header | None, warnings: DecoderWarnings | None
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Decode as training does; return the pixels and a finding for what the decoder printed.

    JPEGs are decoded at an eighth of their size: every bit is read and checked as for the whole,
    which tests compare, in 60 % of the time. Where that fails, FindingError says why.
    """
    if warnings:
        warnings.take()
    if unread := unread_in_tiff(data):
        raise FindingError('channels', unread.what.split(',')[0])
    pixels = None
    if header is not None and header.format in JPEGS:
        pixels = decode_image(data, cv2.IMREAD_REDUCED_COLOR_8)
    if pixels is None:
        pixels = decode_image(data)
    warning = warnings.take() if warnings else ''
    if pixels is not None:
        return pixels, [('decoder-warning', warning)] if warning else []
    if header is None:
        raise FindingError('not-an-image', warning)
    reason = _pillow_error(data) or warning
    raise FindingError('cut-off', f'{header}: {reason}' if reason else str(header))


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


def _pillow_error(data: bytes) -> str:
    """Return why Pillow cannot decode an image, '' where it can."""
    try:
        with any_size(), Image.open(BytesIO(data), formats=FORMATS) as image:
            image.load()
    except Exception as error:  # a damaged file makes Pillow's readers raise almost anything
        return _one_line(error)
    return ''
