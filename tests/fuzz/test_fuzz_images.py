"""Damaged bytes of an image of any kind: pixels or one line, and the process lives on.

OpenCV alone dies of many of these animated PNGs (docs/security.md).
"""

from typing import Any

import numpy as np
import pytest
from fuzzing import cases, one_line
from hypothesis import given
from hypothesis import strategies as st
from image_samples import chunk, damaged_animation, encode, make_image

from symmim_mm.datasets.transforms.decode_region import EncodedImage, ImageError

pytestmark = pytest.mark.slow

IMAGE = make_image()
WHOLE = {
    'apng': encode(IMAGE, 'PNG', frames=2),
    'apng, still image next to it': encode(IMAGE, 'PNG', frames=2, default_image=True),
    'apng, palette': encode(IMAGE.convert('P'), 'PNG', frames=2),
    'apng, damaged': damaged_animation(),
    'png': encode(IMAGE, 'PNG'),
    **{kind: encode(IMAGE, kind, frames=2) for kind in ('GIF', 'WEBP')},
    **{kind: encode(IMAGE, kind) for kind in ('JPEG', 'BMP', 'PPM', 'TIFF', 'JPEG2000', 'AVIF')},
}
VALUES = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from([b'\0\0\0\0', b'\xff\xff\xff\xff', b'\x7f\xff\xff\xff', b'acTL', b'fdAT']),
)


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have right checksums, so that damage is not found by them."""
    parts, place = [data[:8]], 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], 'big')
        if end + 4 > len(data):
            break
        parts.append(chunk(data[place + 4 : place + 8], data[place + 8 : end]))
        place = end + 4
    return b''.join(parts) + data[place:]


@st.composite
def damaged_images(draw: Any) -> bytes:
    """Some bytes overwritten, removed or put in, most often near the head."""
    data = WHOLE[draw(st.sampled_from(sorted(WHOLE)))]
    for _ in range(draw(st.integers(1, 6))):
        last = draw(st.sampled_from([60, 200, len(data)]))
        place = draw(st.integers(0, min(last, len(data))))
        removed = draw(st.sampled_from([0, 1, 4, 4, 40]))
        data = data[:place] + draw(VALUES) + data[place + removed :]
    return with_checksums(data) if data[1:4] == b'PNG' and draw(st.booleans()) else data


@cases(3000)
@given(damaged_images())
def test_damaged_images(data: bytes) -> None:
    try:
        found = EncodedImage(data, 'an image')
        if found.pixels is None:
            found.decode_whole()
    except ImageError as error:
        one_line(error)
    else:
        assert found.pixels.dtype == np.uint8 and found.pixels.ndim == 3


def test_all_of_them_are_read_when_whole() -> None:
    for name, data in WHOLE.items():
        if name != 'apng, damaged':
            found = EncodedImage(data, name)
            found.decode_whole()
            assert found.size == IMAGE.size, name
