"""Cut JPEGs decode to the same pixels, whatever kind of JPEG they are cut from."""

import cv2
import numpy as np
import pytest
import simplejpeg
from encoded_images import SAMPLING, drawn, jpeg, pillow
from hypothesis import given
from hypothesis import strategies as st

from symmim_mm.datasets.transforms.jpeg_crop import cut_rows
from symmim_mm.datasets.transforms.jpeg_header import read_jpeg_header

IMAGE = drawn(120, 140, 3)


def rows_agree(data: bytes, top: int, bottom: int) -> None:
    cut, first = cut_rows(data, read_jpeg_header(data), top, bottom)
    whole = simplejpeg.decode_jpeg(data, 'BGR')
    part = simplejpeg.decode_jpeg(cut, 'BGR', strict=False)
    assert np.array_equal(part[top - first : bottom - first], whole[top:bottom])


@given(data=st.data())
def test_rows_of_a_cut_are_those_of_the_whole(data: st.DataObject) -> None:
    height = data.draw(st.integers(1, 120), label='height')
    width = data.draw(st.integers(1, 140), label='width')
    sampling = data.draw(st.sampled_from([*SAMPLING, 'gray']), label='sampling')
    progressive = data.draw(st.booleans(), label='progressive')
    restart = data.draw(st.sampled_from([0, 1, 2, 3, 5, 9, 18, 36]), label='restart')
    image = np.ascontiguousarray(IMAGE[:height, :width])
    image = image[..., 0] if sampling == 'gray' else image
    bottom = data.draw(st.integers(1, height), label='bottom')
    top = data.draw(st.integers(0, bottom - 1), label='top')
    rows_agree(jpeg(image, sampling, progressive, restart), top, bottom)


@pytest.mark.parametrize('sampling, unit', [('4:4:4', 8), ('4:2:0', 16), ('4:1:1', 8)])
def test_rows_above_are_left_out_at_restart_markers(sampling: str, unit: int) -> None:
    # 128 columns: 16, 8 and 4 units to a row; an interval of one row, of half a row, of two.
    image = drawn(256, 128)
    across = 128 // {'4:4:4': 8, '4:2:0': 16, '4:1:1': 32}[sampling]
    for interval in (across, across // 2, across * 2):
        data = jpeg(image, sampling, restart=interval)
        header = read_jpeg_header(data)
        cut, first = cut_rows(data, header, 200, 230)
        step = unit * max(1, interval // across)
        context = 2 if unit == 16 else 0
        assert first == (200 - context) // step * step
        assert len(cut) < len(data) / 2
        for top, bottom in ((200, 230), (0, 5), (0, 256), (250, 256), (64, 128), (63, 129)):
            rows_agree(data, top, bottom)


def test_restart_markers_that_rows_do_not_begin_at() -> None:
    data = jpeg(drawn(64, 72), '4:4:4', restart=5)  # 9 units to a row
    cut, first = cut_rows(data, read_jpeg_header(data), 40, 50)
    assert first == 0 and len(cut) == len(data)
    rows_agree(data, 40, 50)


def test_missing_restart_marker() -> None:
    """A damaged file is left to the decoder, which finds its way at the other markers."""
    data = jpeg(drawn(64, 64), '4:4:4', restart=8)
    place = data.index(b'\xff\xd2')
    damaged = data[:place] + data[place + 2 :]
    cut, first = cut_rows(damaged, read_jpeg_header(damaged), 40, 48)
    assert first == 0
    whole = simplejpeg.decode_jpeg(damaged, 'BGR', strict=False)
    part = simplejpeg.decode_jpeg(cut, 'BGR', strict=False)
    assert np.array_equal(part[40:48], whole[40:48])


def test_header() -> None:
    data = jpeg(drawn(50, 70), '4:2:0', restart=3)
    header = read_jpeg_header(data)
    assert header[:6] == (70, 50, 1, 16, 16, 3) and header.one_scan
    assert data[header.frame : header.frame + 2] == b'\xff\xc0'
    gray = read_jpeg_header(jpeg(drawn(50, 70)[..., 0], progressive=True))
    assert gray[:6] == (70, 50, 1, 8, 8, 0) and not gray.one_scan


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'\xff\xd8',
        b'\xff\xd8\xff',
        b'\xff\xd8 no marker after that',
        b'\xff\xd8\xff\xc0\0\2\xff\xda\0\0\0',
        b'\x89PNG\r\n\x1a\n',
        pillow(drawn(40, 40), mode='CMYK'),
        jpeg(drawn(40, 40))[:200],
        jpeg(drawn(40, 40)).replace(b'\xff\xc0\x00\x11\x08', b'\xff\xc0\x00\x11\x0c'),  # 12 bits
        jpeg(drawn(40, 40)).replace(b'\x08\x00\x28\x00\x28', b'\x08\x00\x00\x00\x28'),  # height 0
        jpeg(drawn(40, 40)).replace(b'\xff\xc0', b'\xff\xc9'),  # arithmetic coding
    ],
    ids=['empty', 'start', 'cut', 'text', 'empty frame', 'png', 'cmyk', 'tables', '12 bits',
         'no height', 'sof9'],
)  # fmt: skip
def test_what_is_left_to_opencv(data: bytes) -> None:
    assert read_jpeg_header(data) is None


@given(st.binary(max_size=60), st.integers(0, 700))
def test_damaged_headers_never_raise(noise: bytes, place: int) -> None:
    data = bytearray(jpeg(IMAGE[:24, :24], restart=2))
    data[place : place + len(noise)] = noise
    header = read_jpeg_header(bytes(data))
    if header is not None and header.height:
        cut_rows(bytes(data), header, 0, 1)


def test_markers_may_be_filled() -> None:
    """T.81, B.1.1.2: any number of bytes 255 may stand before a marker."""
    data = jpeg(drawn(40, 40))
    filled = data.replace(b'\xff\xc0', b'\xff\xff\xff\xc0')
    assert read_jpeg_header(filled)[:6] == read_jpeg_header(data)[:6]
    assert cv2.imdecode(np.frombuffer(filled, np.uint8), 1) is not None
    rows_agree(filled, 10, 20)
