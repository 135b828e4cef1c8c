"""Images of any number of channels are decoded to what was written, or refused in one line."""

from io import BytesIO

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import encode, tiff, turned
from PIL import Image

from symmim_mm.datasets.transforms.bands import decode_bands, resize_bands
from symmim_mm.datasets.transforms.decode_region import EncodedImage, ImageError

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (30, 40, 6), np.uint16)
SHALLOW = RNG.integers(0, 256, (30, 40, 6), np.uint8)
BANDS = dict(photometric='minisblack', planarconfig='contig')


def written(pixels: np.ndarray, **options: object) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, np.ascontiguousarray(pixels), **options)
    return buffer.getvalue()


def by_opencv(pixels: np.ndarray, suffix: str = '.png') -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def planes(pixels: np.ndarray) -> np.ndarray:
    return pixels.transpose(2, 0, 1)


WAYS = {
    'contiguous': lambda x: written(x, **BANDS),
    'planar': lambda x: written(planes(x), photometric='minisblack', planarconfig='separate'),
    'pages': lambda x: written(planes(x), photometric='minisblack'),
    'bare pages': lambda x: written(planes(x), photometric='minisblack', metadata=None),
    'ImageJ': lambda x: written(planes(x), imagej=True),
    'deflate': lambda x: written(x, compression='deflate', predictor=True, tile=(16, 16), **BANDS),
    'BigTIFF': lambda x: written(x, bigtiff=True, **BANDS),
    'other byte order': lambda x: written(x, byteorder='>', **BANDS),
    'overview': lambda x: tiff((x, BANDS), (x[::2, ::2], dict(BANDS, subfiletype=1))),
}


@pytest.mark.parametrize('pixels', [SHALLOW, DEEP], ids=['8 bits', '16 bits'])
@pytest.mark.parametrize('way', WAYS)
def test_bands_of_a_tiff(way: str, pixels: np.ndarray) -> None:
    """In the order that they were written in, 16 bits divided by 257 and not cut to 8."""
    found = decode_bands(WAYS[way](pixels), 6)
    assert found.dtype == np.float32
    expected = pixels / (257 if pixels.dtype == np.uint16 else 1)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize('pixels', [SHALLOW, DEEP], ids=['8 bits', '16 bits'])
@pytest.mark.parametrize(
    ('channels', 'encode'),
    [
        (1, lambda x: by_opencv(x[..., 0])),
        (1, lambda x: by_opencv(x[..., 0], '.tif')),  # compressed by LZW
        (1, lambda x: written(x[..., 0])),
        (4, lambda x: by_opencv(x[..., [2, 1, 0, 3]])),  # OpenCV takes BGRA
        (4, lambda x: written(x[..., :4], photometric='rgb', extrasamples=['unassalpha'])),
    ],
    ids=['gray PNG', 'gray TIFF of OpenCV', 'gray TIFF', 'RGBA PNG', 'RGBA TIFF'],
)
def test_gray_and_rgba(channels: int, encode, pixels: np.ndarray) -> None:
    """Colors stand before alpha and are not multiplied by it."""
    expected = pixels[..., :channels] / (257 if pixels.dtype == np.uint16 else 1)
    np.testing.assert_allclose(decode_bands(encode(pixels), channels), expected, rtol=1e-6)


def test_gray_with_alpha() -> None:
    pixels = SHALLOW[..., :2].copy()
    assert np.array_equal(decode_bands(encode(Image.fromarray(pixels, 'LA'), 'PNG'), 2), pixels)


def test_gray_jpegs_stand_upright() -> None:
    gray = cv2.resize(SHALLOW[:4, :5, 0], (50, 30))
    stored = encode(Image.fromarray(gray), quality=95, exif=turned(6))
    upright = EncodedImage(stored, 'a.jpg', 1)
    assert upright.size == (30, 50)
    assert np.abs(upright.crop(0, 0, 50, 30)[..., 0] - np.rot90(gray, -1)).mean() < 5


@pytest.mark.parametrize(
    ('data', 'channels', 'message'),
    [
        (written(DEEP, **BANDS), 4, 'a has 6 channels, and 4 are read.*--channels 6'),
        (WAYS['pages'](DEEP), 1, 'a has 6 channels, and 1 are read'),
        (by_opencv(SHALLOW[..., 0]), 4, 'a has 1 channel, and 4 are read'),
        (by_opencv(SHALLOW[..., :3]), 4, 'a has 3 channels, and 4 are read'),
        (by_opencv(SHALLOW[..., :3], '.jpg'), 1, 'a has 3 channels, and 1 are read'),
        (by_opencv(SHALLOW[..., :4]), 1, 'a has 4 channels, and 1 are read'),
        (written(DEEP / 65535, **BANDS), 6, 'a holds float64: convert it to 8 or 16 bits'),
        (written(DEEP.view(np.int16), **BANDS), 6, 'a holds int16'),
        (written(np.float32(SHALLOW[..., 0])), 1, 'a holds float32'),
        (by_opencv(SHALLOW[..., :4], '.tif'), 4, r'a needs imagecodecs \(.*LZW.*\): pip install'),
        (tiff((SHALLOW[..., 0], {}), (SHALLOW[:9, :, 0], {})), 2, r'one image \(30x40, 9x40'),
        (written(DEEP[None].repeat(2, 0), **BANDS), 6, r'more than one image \(2x30x40x6\)'),
        (b'', 4, r'a is not an image that can be decoded \(0 bytes\)'),
        (b'II*\0 and no more', 4, 'a is not an image'),
        *[(WAYS[way](DEEP)[:3000], 6, 'a is not an image') for way in ('planar', 'deflate')],
        (by_opencv(SHALLOW[..., 0], '.jpg')[:-2], 1, 'a ends too early'),
    ],
    ids=lambda value: f'{len(value)} bytes' if isinstance(value, bytes) else None,
)
def test_files_that_are_refused(data: bytes, channels: int, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        EncodedImage(data, 'a', channels)
    assert '\n' not in str(caught.value)


@settings(max_examples=200)
@given(
    way=st.sampled_from(sorted(WAYS)),
    changes=st.lists(
        st.tuples(st.integers(-400, 400), st.integers(0, 255)), min_size=1, max_size=4
    ),
)
def test_damaged_tiffs_are_refused_or_read(way: str, changes: list[tuple[int, int]]) -> None:
    """Directories stand at the start or the end of a file; nothing else than ValueError comes."""
    data = bytearray(WAYS[way](SHALLOW))
    for place, value in changes:
        data[place] = value
    try:
        assert decode_bands(bytes(data), 6).shape[2] == 6
    except ValueError as error:
        assert str(error).startswith(('is not an image', 'has ', 'holds ', 'needs imagecodecs'))


def test_missing_tiles_are_not_taken_for_zeros() -> None:
    data = bytearray(written(SHALLOW, tile=(16, 16), compression='deflate', **BANDS))
    with tifffile.TiffFile(BytesIO(bytes(data))) as file:
        length = file.pages[0].tags['ImageLength']
        data[length.valueoffset : length.valueoffset + 2] = (90).to_bytes(2, 'little')
    with pytest.raises(ImageError, match='a is not an image that can be decoded'):
        EncodedImage(bytes(data), 'a', 6)


def test_a_region() -> None:
    image = EncodedImage(written(SHALLOW, **BANDS), 'a', 6)
    assert image.size == (40, 30)
    assert np.array_equal(image.crop(3, 5, 7, 9), SHALLOW[3:10, 5:14])


@pytest.mark.parametrize('channels', [1, 2, 6])
@pytest.mark.parametrize('method', [cv2.INTER_AREA, cv2.INTER_CUBIC])
def test_resizing_treats_every_channel_alike(channels: int, method: int) -> None:
    image = SHALLOW[..., :channels].astype(np.float32)
    found = resize_bands(image, (17, 13), interpolation=method)
    for channel in range(channels):
        one = np.ascontiguousarray(image[..., channel])
        assert np.array_equal(found[..., channel], cv2.resize(one, (17, 13), interpolation=method))
