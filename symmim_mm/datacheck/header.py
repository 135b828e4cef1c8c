"""What the header of an image says, read by Pillow without decoding a pixel."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import BinaryIO, NamedTuple

from PIL import Image

# What OpenCV 4.12 reads. Naming them also keeps Pillow's other, rarely used readers away from
# files of unknown origin. MPO (photographs of many telephones) comes through JPEG's reader.
FORMATS = ('JPEG', 'PNG', 'BMP', 'DIB', 'PPM', 'TIFF', 'WEBP', 'GIF', 'JPEG2000', 'AVIF')
TURNED = ('JPEG', 'MPO', 'PNG', 'TIFF')  # formats whose EXIF orientation OpenCV obeys
SAME = {'MPO': 'JPEG', 'DIB': 'BMP'}  # formats that share their extensions
ORIENTATION = 0x112  # EXIF tag; 1 is upright, 5 to 8 lie on their side


class Header(NamedTuple):
    """The header of an image. ``width`` and ``height`` are as stored, before any rotation.

    ``orientation``: EXIF's, 1 to 8; 1 where OpenCV ignores it. ``findings``: what is unusual in the
    stored pixels, as ``(kind, text)``.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int
    findings: list[tuple[str, str]]

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def loaded_size(self) -> tuple[int, int]:
        """``(width, height)`` after OpenCV has turned the image upright."""
        # Pillow turns the size of a TIFF itself.
        if self.orientation >= 5 and self.format != 'TIFF':
            return self.height, self.width
        return self.width, self.height

    def __str__(self) -> str:
        return f'{self.format} {self.width} x {self.height}'

    def fits_name(self, name: str) -> bool:
        """Return whether the extension of a file promises this format, or none."""
        promised = Image.registered_extensions().get(PurePath(name).suffix.lower(), self.format)
        return SAME.get(promised, promised) == SAME.get(self.format, self.format)


def read_header(file: BinaryIO) -> Header | None:
    """Read the header of an open image file; None where Pillow finds none in it."""
    with any_size(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            with Image.open(file, formats=FORMATS) as image:
                orientation = _orientation(image)
                findings = list(_unusual(image))
                return Header(image.format, image.mode, *image.size, orientation, findings)
        except Exception:  # a damaged header makes Pillow's readers raise almost anything
            return None


def _unusual(image: Image.Image) -> Iterator[tuple[str, str]]:
    """Yield findings about the stored pixels."""
    if image.mode == 'CMYK':
        yield 'cmyk', ''
    if _is_deep(image):
        yield '16-bit', f'{image.format} {image.mode}'
    if image.mode in ('P', 'PA'):
        yield 'palette', image.format
    if image.mode in ('RGBA', 'LA', 'PA') or 'transparency' in image.info:
        yield 'transparent', ''
    # The further images of an MPO are previews and depth maps, not an animation.
    if image.format != 'MPO' and getattr(image, 'is_animated', False):
        yield 'animated', image.format


def _is_deep(image: Image.Image) -> bool:
    """Return whether there are more than 8 bits a channel, by the arguments of Pillow's decoder."""
    if image.mode[0] in 'IF':
        return True
    for tile in image.tile:
        for value in tile.args if isinstance(tile.args, tuple) else (tile.args,):
            if isinstance(value, str) and ';16' in value:
                return True
            if image.format == 'PPM' and isinstance(value, int) and value > 255:
                return True
    return False


def _orientation(image: Image.Image) -> int:
    if image.format not in TURNED or (image.format != 'TIFF' and 'exif' not in image.info):
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
