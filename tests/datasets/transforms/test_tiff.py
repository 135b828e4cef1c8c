"""TIFFs that OpenCV would misread are refused by their header; ordinary ones are read."""

import random

import numpy as np
import pytest
from image_samples import encode, make_image, samples, tiff, turned

from symmim_mm.datasets.transforms.decode_region import EncodedImage, ImageError
from symmim_mm.datasets.transforms.tiff import unread_in_tiff

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 255, (30, 40, 3), dtype=np.uint8)
BANDS = RNG.integers(0, 255, (30, 40, 5), dtype=np.uint8)
GRAY = dict(photometric='minisblack')


COLOR = (RGB, dict(photometric='rgb'))
SMALL = RGB[::2, ::2]


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize(
    ('pages', 'message'),
    [
        ([(BANDS, dict(planarconfig='contig', **GRAY))], 'has 5 channels, and images of color'),
        ([(RGB, dict(planarconfig='contig', **GRAY))], 'has 3 channels that are not .*: write'),
        ([(BANDS[..., :4], dict(photometric='rgb', extrasamples=[0]))], 'has 4 channels'),
        ([(np.int16(RGB[..., 0]), GRAY)], 'holds numbers with a sign: convert it to 8 or 16'),
        ([(np.float32(RGB), dict(photometric='rgb'))], 'holds floating-point numbers: convert'),
        ([(np.complex64(RGB[..., 0]), GRAY)], 'holds complex numbers'),
        ([(np.uint32(RGB[..., 0]), GRAY)], 'holds numbers of 32 bits'),
        ([(band, GRAY) for band in BANDS.transpose(2, 0, 1)], 'holds more than one page: write'),
        ([COLOR, COLOR], 'holds more than one page'),
        ([COLOR, (SMALL, dict(photometric='rgb', subfiletype=1)), COLOR], 'more than one page'),
        ([COLOR, (RGB[:20], dict(photometric='rgb'))], 'more than one page'),
    ],
)
def test_what_opencv_would_misread(pages: list, message: str, big: bool, order: str) -> None:
    data = tiff(*pages, bigtiff=big, byteorder=order)
    with pytest.raises(ImageError, match=f'a.tif {message}' if len(pages) == 1 else message):
        EncodedImage(data, 'a.tif')


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize(
    'pages',
    [
        [COLOR],
        [COLOR, (SMALL, dict(photometric='rgb', subfiletype=1))],  # an overview
        [COLOR, (RGB[..., 0] > 99, dict(photometric=4, subfiletype=4))],  # a mask
        [COLOR, (SMALL, dict(photometric='rgb'))],  # a thumbnail of a camera, without a mark
        [
            (
                np.dstack([RGB, np.full_like(RGB[..., :1], 255)]),
                dict(photometric='rgb', extrasamples=[2]),
            )
        ],
    ],
)
def test_color_is_read(pages: list, big: bool, order: str) -> None:
    image = EncodedImage(tiff(*pages, bigtiff=big, byteorder=order), 'a.tif')
    assert np.array_equal(image.pixels[..., ::-1], RGB)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'L', 'LA', 'P', '1', 'CMYK', 'YCbCr'])
def test_files_of_pillow_are_not_refused(mode: str) -> None:
    assert unread_in_tiff(encode(make_image().convert(mode), 'TIFF')) is None
    assert unread_in_tiff(encode(make_image().convert(mode), 'TIFF', exif=turned(6))) is None


def test_deep_images_are_read() -> None:
    """The upper 8 of 16 bits."""
    image = EncodedImage(tiff((np.uint16(RGB) * 257, dict(photometric='rgb'))), 'a.tif')
    assert np.abs(image.pixels[..., ::-1].astype(int) - RGB).max() <= 1


def test_damaged_headers_are_left_to_opencv() -> None:
    chance = random.Random(0)
    files = [tiff(COLOR, COLOR), tiff(COLOR, (SMALL, {}), bigtiff=True), samples()['tiff'][1]]
    for whole in files:
        assert all(unread_in_tiff(whole[:end]) is None for end in (0, 3, 4, 8, 9, 15))
        for _ in range(500):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 8)):
                data[chance.randrange(4, 300)] = chance.randrange(256)
            unread_in_tiff(bytes(data))
    loop = bytearray(tiff(COLOR))  # whose page follows itself
    start = int.from_bytes(loop[4:8], 'little')
    end = start + 2 + 12 * int.from_bytes(loop[start : start + 2], 'little')
    loop[end : end + 4] = loop[4:8]
    assert unread_in_tiff(bytes(loop)) is None
