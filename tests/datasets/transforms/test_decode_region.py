"""Regions are those of the image that stock pipelines decode; what is no image is named."""

import cv2
import numpy as np
import pytest
from encoded_images import SAMPLING, decoded, drawn, jpeg, pillow, turned
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.fileio import LocalBackend, register_backend

from symmim_mm.datasets.transforms.decode_region import EncodedImage, ImageError, open_image
from symmim_mm.datasets.transforms.exif_orientation import read_orientation

IMAGE = drawn(90, 110, 1)
RGBA = np.dstack([IMAGE, np.indices((90, 110))[1].astype(np.uint8) * 2])
DEEP = IMAGE.astype(np.uint16) * 257


def encoded(image: np.ndarray, extension: str) -> bytes:
    done, data = cv2.imencode(extension, image)
    assert done
    return data.tobytes()


FILES = {
    **{sampling: jpeg(IMAGE, sampling) for sampling in SAMPLING},
    'progressive': jpeg(IMAGE, '4:2:0', progressive=True),
    'restart': jpeg(IMAGE, '4:2:0', restart=7),
    'gray jpeg': jpeg(IMAGE[..., 0]),
    'cmyk jpeg': pillow(IMAGE, mode='CMYK'),
    'rgb jpeg': pillow(IMAGE, keep_rgb=True, subsampling=0),
    'png': encoded(IMAGE, '.png'),
    'gray png': encoded(IMAGE[..., 0], '.png'),
    'png with alpha': encoded(RGBA, '.png'),
    'png of 16 bits': encoded(DEEP, '.png'),
    'palette png': pillow(IMAGE, 'PNG', mode='P'),
    'bmp': encoded(IMAGE, '.bmp'),
    'ppm': encoded(IMAGE, '.ppm'),
    'tiff': encoded(IMAGE, '.tif'),
    'webp': encoded(IMAGE, '.webp'),
    **{f'orientation {value}': turned(IMAGE, value) for value in range(0, 10)},
}


@pytest.mark.parametrize('kind', FILES)
def test_crops_are_those_of_opencv(kind: str) -> None:
    whole = decoded(FILES[kind])
    total_height, total_width = whole.shape[:2]
    assert np.array_equal(EncodedImage(FILES[kind], kind).crop(0, 0, *whole.shape[:2]), whole)

    @settings(max_examples=10)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        image = EncodedImage(FILES[kind], kind)
        assert image.size == (total_width, total_height)
        height = data.draw(st.integers(1, total_height))
        width = data.draw(st.integers(1, total_width))
        top = data.draw(st.integers(0, total_height - height))
        left = data.draw(st.integers(0, total_width - width))
        crop = image.crop(top, left, height, width)
        assert crop.dtype == np.uint8
        assert np.array_equal(crop, whole[top : top + height, left : left + width])

    check()


def test_most_images_need_not_be_decoded_whole() -> None:
    for kind, data in FILES.items():
        lazy = EncodedImage(data, kind).pixels is None
        assert lazy == ('jpeg' in kind or ':' in kind or kind in ('progressive', 'restart')
                        or 'orientation' in kind) - (kind == 'cmyk jpeg'), kind  # fmt: skip


def test_an_image_larger_than_opencv_reads() -> None:
    data = FILES['4:4:4'].replace(b'\x08\x00\x5a\x00\x6e', b'\x08\xff\xff\xff\xff')
    with pytest.raises(ImageError, match='huge.jpg is not an image that can be decoded'):
        EncodedImage(data, 'huge.jpg')


def test_files_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(ImageError, match='cannot read .*none.jpg: No such file or directory'):
        open_image(tmp_path / 'none.jpg')
    with pytest.raises(ImageError, match=f'cannot read {tmp_path}: Is a directory'):
        open_image(tmp_path)


class Shop(LocalBackend):
    """A storage backend that keeps its images elsewhere."""

    place = ''

    def get(self, filepath: str) -> bytes:
        return super().get(filepath.replace('shop://', f'{self.place}/'))


def test_storage_backends_of_mmengine(tmp_path) -> None:
    (tmp_path / 'a.jpg').write_bytes(FILES['4:2:0'])
    Shop.place = str(tmp_path)
    register_backend('shop', Shop, force=True, prefixes='shop')
    for arguments in ((), (dict(backend='shop'),)):
        image = open_image('shop://a.jpg', *arguments)
        assert np.array_equal(image.crop(0, 0, 90, 110), decoded(FILES['4:2:0']))


@given(st.binary(max_size=80))
def test_damaged_exif_counts_as_upright_or_is_read(noise: bytes) -> None:
    assert read_orientation(b'II*\0' + noise) in range(1, 9)
    assert read_orientation(noise) in range(1, 9)


def exif(value: int, kind: int = 3, order: str = 'little', mark: int = 42) -> bytes:
    fields = [(mark, 2), (8, 4), (1, 2), (0x112, 2), (kind, 2), (1, 4), (value, 2)]  # value, bytes
    block = b''.join(number.to_bytes(size, order) for number, size in fields)
    return b'Exif\0\0' + {'little': b'II', 'big': b'MM'}[order] + block + bytes(6)


@pytest.mark.parametrize(
    'segments',
    [
        *[[exif(6, kind, order)] for kind in (1, 3, 4) for order in ('little', 'big')],
        [exif(6, mark=43)],
        [exif(6)[:-6]],
        [exif(6), exif(8)],
        [b'http://ns.adobe.com/xap/1.0/\0<x/>', exif(6)],
        [b'other\0' + exif(6)[6:]],
    ],
)
def test_exif_is_read_as_opencv_reads_it(segments: list[bytes]) -> None:
    """By the first segment alone, without a look at the type of the number."""
    whole = FILES['4:2:0']
    parts = [b'\xff\xe1' + (len(part) + 2).to_bytes(2, 'big') + part for part in segments]
    data = whole[:2] + b''.join(parts) + whole[2:]
    expected = decoded(data)
    assert np.array_equal(EncodedImage(data, 'a').crop(0, 0, *expected.shape[:2]), expected)
