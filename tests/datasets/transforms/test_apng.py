"""Animated PNGs become still ones with the pixels that OpenCV reads of them."""

import cv2
import numpy as np
import pytest
from check_samples import chunk, damaged_animation, encode, picture, samples

from symmim_mm.datasets.transforms.apng import still_png

ANIMATION = encode(picture(), 'PNG', frames=2)


def opencv(data: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize('beside', [False, True], ids=['first frame', 'still picture beside'])
@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'L', 'LA', 'P', '1'])
def test_pixels_of_opencv(mode: str, beside: bool) -> None:
    data = encode(picture().convert(mode), 'PNG', frames=2, default_image=beside)
    still = still_png(data)
    assert len(still) < len(data)
    assert not any(name in still for name in (b'acTL', b'fcTL', b'fdAT'))
    assert np.array_equal(opencv(still), opencv(data))


@pytest.mark.parametrize('what', [name for name in samples() if name != 'animated PNG'])
def test_other_data_stay(what: str) -> None:
    data = samples()[what][1]
    assert still_png(data) is data


def test_names_within_other_chunks_stay() -> None:
    png = encode(picture(), 'PNG')
    data = png[:33] + chunk(b'tEXt', b'Title\0' + chunk(b'acTL', bytes(8))) + png[33:]
    assert still_png(data) is data


@pytest.mark.parametrize('end', range(8, len(ANIMATION), 97))
def test_cut_animation(end: int) -> None:
    """What is left is what is left of the still picture."""
    whole = still_png(ANIMATION)
    assert whole.startswith(still_png(ANIMATION[:end])[:-12])


def test_damaged_animation_is_no_picture() -> None:
    assert opencv(still_png(damaged_animation())) is None
