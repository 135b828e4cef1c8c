"""OpenCV reads the still image of an animated PNG, which alone it can do without dying."""

import cv2
import numpy as np
import pytest
from image_samples import chunk, encode, make_image, samples

from symmim_mm.datasets.transforms.decode import decode_image, strip_animation

ANIMATION = encode(make_image(), 'PNG', frames=2)


def opencv(data: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize('still', [False, True], ids=['first frame', 'still image besides'])
@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'L', 'LA', 'P', '1'])
def test_pixels_of_opencv(mode: str, still: bool) -> None:
    data = encode(make_image().convert(mode), 'PNG', frames=2, default_image=still)
    assert not any(name in strip_animation(data) for name in (b'acTL', b'fcTL', b'fdAT'))
    assert np.array_equal(decode_image(data), opencv(data))


def test_other_data_stay() -> None:
    png = encode(make_image(), 'PNG')
    names_within = png[:33] + chunk(b'tEXt', b'Title\0' + chunk(b'acTL', bytes(8))) + png[33:]
    others = [data for name, (_, data, _) in samples().items() if name != 'animated PNG']
    for data in (*others, names_within):
        assert strip_animation(data) is data


@pytest.mark.parametrize('end', range(8, len(ANIMATION), 197))
def test_cut_animation(end: int) -> None:
    """What is left is what is left of the still image."""
    whole = strip_animation(ANIMATION)
    assert whole.startswith(strip_animation(ANIMATION[:end])[:-12])
