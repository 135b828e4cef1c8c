"""What the header of a TIFF says that OpenCV ignores: bands, pages, kinds of numbers."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

CLASSIC_SIGNATURES = (b'II*\0', b'MM\0*')
BIG_SIGNATURES = (b'II+\0', b'MM\0+')
SIGNATURES = CLASSIC_SIGNATURES + BIG_SIGNATURES
# Tags, TIFF 6.0.
SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS = 254, 255, 256, 257, 258
SAMPLES, EXTRA_SAMPLES, SAMPLE_FORMAT = 277, 338, 339
READ = {SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, SAMPLES, EXTRA_SAMPLES,
        SAMPLE_FORMAT}  # fmt: skip
KINDS = {1: 'B', 3: 'H', 4: 'I', 16: 'Q'}  # of numbers: BYTE, SHORT, LONG, BigTIFF's LONG8
REDUCED_OR_MASK = 1 | 4  # bits of NewSubfileType: no image of its own
OLD_REDUCED = 2
FORMATS = {2: 'numbers with a sign', 3: 'floating-point numbers', 5: 'complex numbers',
           6: 'complex numbers'}  # fmt: skip
MOST_BITS = 16
MOST_PAGES, MOST_VALUES = 64, 4096  # that are looked at

Page = dict[int, list[int]]


@dataclass(frozen=True)
class Unread:
    """What keeps a TIFF from being read as color or gray: what it holds, and what to do."""

    what: str
    advice: str


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
        return _unread(_pages(data))
    except (LookupError, ValueError):
        return None


def _unread(pages: Iterator[Page]) -> Unread | None:
    first = next(pages, None)
    if first is None:
        return None
    count, extra = first.get(SAMPLES, [1])[0], first.get(EXTRA_SAMPLES, [])
    if count > 4 or 0 in extra:  # an extra sample of 0 is no alpha
        return Unread(
            f'has {count} channels, and images of color or gray are read',
            f'pre-train with --channels {count}, or write three or one into another file',
        )
    kinds = [FORMATS[kind] for kind in first.get(SAMPLE_FORMAT, []) if kind in FORMATS]
    deep = max(first.get(BITS, [1])) > MOST_BITS
    if kinds or deep:
        return Unread(
            f'holds {kinds[0] if kinds else f"numbers of {max(first[BITS])} bits"}',
            'convert it to 8 or 16 bits without sign',
        )
    if any(_is_image(page, first) for page in pages):
        return Unread(
            'holds more than one page',
            'write each into its own file, or pre-train with --channels if they are bands',
        )
    return None


def _is_image(page: Page, first: Page) -> bool:
    """Return whether a page is an image of its own, and no overview, mask or thumbnail."""
    if page.get(SUBFILE, [0])[0] & REDUCED_OR_MASK or page.get(OLD_SUBFILE, [1])[0] == OLD_REDUCED:
        return False
    return any(2 * page[side][0] > first[side][0] + 1 for side in (WIDTH, HEIGHT))


def _pages(data: bytes) -> Iterator[Page]:
    """Yield the numbers of the tags :data:`READ` of each page.

    Raises:
        ValueError: a page or number lies outside of the file.
    """
    order = '<' if data[:2] == b'II' else '>'
    # An offset, a number of entries, and an entry: its tag, type, count, and value or offset.
    offset, counted, entry = 'QQ8' if data[:4] in BIG_SIGNATURES else 'IH4'
    entry = f'{order}HH{offset}{entry}s'

    def unpack(kind: str, start: int, count: int = 1) -> list[int]:
        try:
            return list(struct.unpack_from(f'{order}{count}{kind}', data, start))
        except (struct.error, OverflowError) as error:
            raise ValueError(f'no {count} numbers at {start}') from error

    width = struct.calcsize(order + offset)
    (start,), seen = unpack(offset, width), set[int]()
    while start and start not in seen and len(seen) < MOST_PAGES:
        seen.add(start)
        (entries,) = unpack(counted, start)
        first = start + struct.calcsize(order + counted)
        end = first + entries * struct.calcsize(entry)
        (following,) = unpack(offset, end)  # first of all: the file is as long as it says
        page: Page = {}
        for tag, kind, count, value in struct.iter_unpack(entry, data[first:end]):
            if tag not in READ or kind not in KINDS:
                continue
            numbers = f'{order}{min(count, MOST_VALUES)}{KINDS[kind]}'
            if struct.calcsize(numbers) <= len(value):
                page[tag] = list(struct.unpack_from(numbers, value))
            else:
                (place,) = struct.unpack(order + offset, value)
                page[tag] = unpack(KINDS[kind], place, min(count, MOST_VALUES))
        yield page
        start = following
