"""What the header of an image says, read by Pillow without decoding a pixel."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import PurePath
from typing import BinaryIO, NamedTuple

from PIL import Image

# What OpenCV 4.12 reads. Naming them also keeps Pillow's other, rarely used readers away from
# files of unknown origin. MPO (photographs of many telephones) comes through JPEG's reader.
FORMATS = ('JPEG', 'PNG', 'BMP', 'DIB', 'PPM', 'TIFF', 'WEBP', 'GIF', 'JPEG2000', 'AVIF')
TURNED = ('JPEG', 'MPO', 'PNG', 'TIFF')  # formats whose EXIF orientation OpenCV obeys
ORIENTATION = 0x112  # EXIF tag; 1 is upright, 5 to 8 lie on their side


class Header(NamedTuple):
    """The header of an image. ``width`` and ``height`` are as stored, before any rotation.

    ``deep``: more than 8 bits a channel. ``frames``: more than one image in an animation or a
    multi-page file. ``orientation``: EXIF's, 1 to 8; 1 where OpenCV ignores it.
    """

    format: str
    mode: str
    width: int
    height: int
    deep: bool
    frames: bool
    transparent: bool
    orientation: int

    @property
    def loaded_size(self) -> tuple[int, int]:
        """``(width, height)`` after OpenCV has turned the image upright."""
        # Pillow turns the size of a TIFF itself.
        if self.orientation >= 5 and self.format != 'TIFF':
            return self.height, self.width
        return self.width, self.height

    def __str__(self) -> str:
        return f'{self.format} {self.width} x {self.height}'


def read_header(file: BinaryIO) -> Header | None:
    """Read the header of an open image file; None where Pillow finds none in it."""
    with any_size(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            with Image.open(file, formats=FORMATS) as image:
                return _header_of(image)
        except Exception:  # a damaged header makes Pillow's readers raise almost anything
            return None


def _header_of(image: Image.Image) -> Header:
    kind = image.format
    return Header(
        format=kind,
        mode=image.mode,
        width=image.width,
        height=image.height,
        deep=_is_deep(image),
        # The further images of an MPO are previews and depth maps, not an animation.
        frames=kind != 'MPO' and bool(getattr(image, 'is_animated', False)),
        transparent=image.mode in ('RGBA', 'LA', 'PA') or 'transparency' in image.info,
        orientation=_orientation(image) if kind in TURNED else 1,
    )


def _is_deep(image: Image.Image) -> bool:
    if image.mode[0] in 'IF':
        return True
    for tile in image.tile:
        arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        for value in arguments:
            if isinstance(value, str) and ';16' in value:
                return True
            if image.format == 'PPM' and isinstance(value, int) and value > 255:
                return True
    return False


def _orientation(image: Image.Image) -> int:
    if image.format != 'TIFF' and 'exif' not in image.info:
        return 1
    try:
        value = image.getexif().get(ORIENTATION)
    except Exception:  # as above: damaged EXIF data
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@contextmanager
def any_size() -> Iterator[None]:
    """Let Pillow read headers of images of any size; our own limit is an option."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


@lru_cache(maxsize=256)
def format_of_name(suffix: str) -> str | None:
    """Return the format that an extension (``.jpg``) promises, None where it promises none."""
    return Image.registered_extensions().get(suffix.lower())


def name_fits(header: Header, name: str) -> bool:
    """Return whether the extension of a file promises the format that the file has."""
    promised = format_of_name(PurePath(name).suffix)
    same = {'MPO': 'JPEG', 'DIB': 'BMP'}
    return promised is None or same.get(promised, promised) == same.get(
        header.format, header.format
    )
