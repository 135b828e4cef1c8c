"""What the header of a TIFF says that OpenCV ignores: bands, pages, kinds of numbers."""

import logging
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

SIGNATURES = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')  # the last two of BigTIFF
REDUCED_OR_MASK = 1 | 4  # TIFF 6.0, bits of NewSubfileType: no image of its own
FORMATS = {2: 'numbers with a sign', 3: 'floating-point numbers', 5: 'complex numbers',
           6: 'complex numbers'}  # fmt: skip
MOST_BITS = 16
MOST_PAGES = 64  # that are looked at


class Unread(NamedTuple):
    """What keeps a TIFF from being read as color or gray: what it holds, and what to do."""

    what: str
    advice: str


def open_tiff(data: bytes) -> 'TiffFile':
    """Open a TIFF without the warnings of tifffile, which name no file."""
    from tifffile import TiffFile  # not needed for other images

    logging.getLogger('tifffile').setLevel(logging.CRITICAL)
    return TiffFile(BytesIO(data))


def unread_in_tiff(data: bytes) -> Unread | None:
    """Return why a file is a TIFF that must not be read as an image of color or gray.

    OpenCV drops all channels but the first three and all pages but the first, and takes numbers
    with a sign for such without. Pages that are marked as overviews or masks do not count, nor
    one that is at most half as wide and high as the first, as thumbnails of cameras are. None for
    any other file, and for a damaged one, which is OpenCV's to refuse.
    """
    if data[:4] not in SIGNATURES:
        return None
    try:
        with open_tiff(data) as file:
            # By their place: a page of a damaged file may follow itself.
            pages = {page.offset: page for page in islice(file.pages, MOST_PAGES)}
            return _unread(list(pages.values()))
    except Exception:  # a damaged file makes the reader raise almost anything
        return None


def _unread(pages: 'list[TiffPage]') -> Unread | None:
    first = pages[0]
    count = first.samplesperpixel
    if count == 3 and first.extrasamples:
        return Unread('has 3 channels that are not marked as color', 'write them as RGB')
    if count > 4 or 0 in first.extrasamples:  # an extra sample of 0 is no alpha
        return Unread(
            f'has {count} channels, and images of color or gray are read',
            f'pre-train with --channels {count}, or write three or one into another file',
        )
    if first.sampleformat in FORMATS or first.bitspersample > MOST_BITS:
        kind = FORMATS.get(first.sampleformat, f'numbers of {first.bitspersample} bits')
        return Unread(f'holds {kind}', 'convert it to 8 or 16 bits without sign')
    if any(_is_image(page, first) for page in pages[1:]):
        return Unread(
            'holds more than one page',
            'write each into its own file, or pre-train with --channels if they are bands',
        )
    return None


def _is_image(page: 'TiffPage', first: 'TiffPage') -> bool:
    """Return whether a page is an image of its own, and no overview, mask or thumbnail."""
    if page.subfiletype & REDUCED_OR_MASK:
        return False
    return (
        2 * page.imagewidth > first.imagewidth + 1 or 2 * page.imagelength > first.imagelength + 1
    )
