"""One image: every kind of broken or unusual file is made for real and named as what it is."""

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from image_samples import encode, make_image, png_of_size, samples, turned
from PIL import Image

from symmim_mm.datacheck.header import read_header
from symmim_mm.datacheck.image import Options, inspect_image
from symmim_mm.datacheck.kinds import LEVELS, PROBLEM
from symmim_mm.datasets.transforms.decode import strip_animation
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.datasets.transforms.loading import LoadImageStrict

SAMPLES = samples()
QUICK = Options('', decode=False)
WHOLE = Options('')


def inspect(data: bytes, folder: Path, name: str = 'a.jpg', options: Options = WHOLE):
    path = folder / name
    path.write_bytes(data)
    return inspect_image(str(path), name, options)


def opencv(data: bytes) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None


@pytest.mark.parametrize('what', SAMPLES)
def test_kinds(what: str, tmp_path: Path) -> None:
    name, data, expected = SAMPLES[what]
    findings, size = inspect(data, tmp_path, name)
    # What the decoder prints is caught in worker processes only; see test_check_workers.py.
    assert {kind for kind, _ in findings} == expected - {'decoder-warning'}
    source = dict(img_path=str(tmp_path / name))
    if any(kind in LEVELS[PROBLEM] for kind in expected):
        assert size is None and len(findings) == 1
        if what != 'smaller bomb':  # --max-pixels is lower than OpenCV's limit
            with pytest.raises(ImageError):
                LoadImageStrict()(source)
    else:
        assert size == LoadImageStrict()(source)['img'].shape[1::-1]


@pytest.mark.parametrize('what', SAMPLES)
def test_headers_alone(what: str, tmp_path: Path) -> None:
    """Without decoding, everything is found that a header can tell, and nothing else."""
    name, data, expected = SAMPLES[what]
    found = {kind for kind, _ in inspect(data, tmp_path, name, QUICK)[0]}
    hidden = {'cut-off', 'channels', 'decoder-warning'}
    if what == 'TIFF of floats':
        assert found == {'16-bit'}
    elif what == 'two pages':
        assert found == {'animated'}
    elif what == 'head of a JPEG':  # it begins as a JPEG must
        assert found == set()
    else:
        assert found == expected - hidden


def test_enormous_image_is_not_decoded(tmp_path: Path) -> None:
    """A bomb of 89 million pixels and one more is named by its header, within little memory."""
    script = (
        'import resource, sys\n'
        'from symmim_mm.datacheck.image import Options, inspect_image\n'
        'before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
        'print(inspect_image(sys.argv[1], "a.png", Options("")))\n'
        'print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n'
    )
    path = tmp_path / 'bomb.png'
    path.write_bytes(encode(Image.new('L', (9460, 9459)), 'PNG', compress_level=1))
    done = subprocess.run(
        [sys.executable, '-c', script, str(path)], capture_output=True, text=True, check=True
    )
    said, grown = done.stdout.splitlines()
    assert said == "([('enormous', 'PNG 9460 x 9459 is 89,482,140 pixels')], None)"
    assert int(grown) * 1024 < 40e6 < 9460 * 9459


def test_limit_of_pixels_is_an_option(tmp_path: Path) -> None:
    data = encode(make_image(64, 48))
    assert inspect(data, tmp_path, options=Options('', max_pixels=64 * 48))[0] == []
    findings, _ = inspect(data, tmp_path, options=Options('', max_pixels=64 * 48 - 1))
    assert findings == [('enormous', 'JPEG 64 x 48 is 3,072 pixels')]


def test_long_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / 'a.jpg'
    path.write_bytes(encode(make_image()))
    os.truncate(path, 2**33)  # sparse: takes no space
    assert inspect_image(str(path), 'a.jpg', WHOLE)[0] == [('enormous', '8,589,934,592 bytes')]


def test_header_of_any_size() -> None:
    """Pillow itself refuses to open what has twice its limit of pixels."""
    header = read_header(BytesIO(png_of_size(2**31 - 1, 2**31 - 1)))
    assert header.loaded_size == (2**31 - 1, 2**31 - 1)


def test_missing_and_forbidden(tmp_path: Path) -> None:
    assert inspect_image(str(tmp_path / 'no.jpg'), 'no.jpg', WHOLE) == (
        [('unreadable', 'No such file or directory')], None,
    )  # fmt: skip
    assert inspect_image(str(tmp_path), 'x.jpg', WHOLE)[0] == [('unreadable', 'Is a directory')]


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'WEBP', 'MPO'])
@pytest.mark.parametrize('value', range(10))
def test_size_as_loaded(kind: str, value: int, tmp_path: Path) -> None:
    """The size is OpenCV's for every orientation, the impossible 0 and 9 included."""
    data = encode(make_image(), kind, 2 if kind == 'MPO' else 1, exif=turned(value))
    name = {'JPEG': 'a.jpg', 'PNG': 'a.png', 'TIFF': 'a.tif', 'MPO': 'a.jpg'}.get(kind, 'a.webp')
    expected = opencv(data).shape[1::-1]
    for options in (WHOLE, QUICK):
        findings, size = inspect(data, tmp_path, name, options)
        assert size == expected
        assert [text for kind_, text in findings if kind_ == 'rotated'] == (
            [f'orientation {value}'] if 2 <= value <= 8 and kind != 'WEBP' else []
        )


def test_orientation_behind_the_pixels(tmp_path: Path) -> None:
    """OpenCV obeys EXIF data at the end of a PNG, where Pillow has not looked yet."""
    png = encode(make_image(), 'PNG')
    whole = encode(make_image(), 'PNG', exif=turned(6))
    start = whole.index(b'eXIf') - 4
    length = int.from_bytes(whole[start : start + 4], 'big') + 12
    late = png[:-12] + whole[start : start + length] + png[-12:]
    assert opencv(late).shape[1::-1] == (48, 64)
    assert read_header(BytesIO(late)).loaded_size == (64, 48)
    findings, size = inspect(late, tmp_path, 'a.png')
    assert size == (48, 64) and findings == [('rotated', 'orientation 1')]


FORMATS = {
    kind: encode(make_image(40, 30), kind) for kind in ('JPEG', 'PNG', 'BMP', 'PPM', 'TIFF', 'GIF')
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('images')


@settings(max_examples=300)
@given(
    kind=st.sampled_from([*FORMATS]),
    how=st.sampled_from(['cut', 'overwrite', 'remove', 'insert', 'only the head']),
    place=st.floats(0, 1),
    noise=st.binary(min_size=1, max_size=300),
)
@example(kind='JPEG', how='cut', place=1, noise=b'x')
def test_damage(folder: Path, kind: str, how: str, place: float, noise: bytes) -> None:
    """Damage is a problem exactly if OpenCV cannot load the image; else its size is OpenCV's.

    PNGs carry check sums, and what is cut off is missed: then a change is a problem, or changes no
    pixel. JPEGs carry none: damage to the pixels alone cannot always be seen.
    """
    whole = FORMATS[kind]
    start = int(place * len(whole))
    data = {
        'cut': whole[:start],
        'overwrite': (whole[:start] + noise + whole[start + len(noise) :])[: len(whole)],
        'remove': whole[:start] + whole[start + len(noise) :],
        'insert': whole[:start] + noise + whole[start:],
        'only the head': whole[:60] + noise,
    }[how]
    findings, size = inspect(data, folder)
    header = read_header(BytesIO(data))
    assume(header is None or header.pixels < 1e6)
    problem = any(name in LEVELS[PROBLEM] for name, _ in findings)
    loaded = opencv(strip_animation(data)) if data else None
    assert problem == (loaded is None)
    if not problem:
        assert size == loaded.shape[1::-1]
        if (kind == 'PNG' and how == 'overwrite') or (how == 'cut' and kind != 'GIF'):
            assert (loaded == opencv(whole)).all()


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    """OpenCV would end the process at it."""
    found = inspect(b'no image', tmp_path, os.fsdecode(b'caf\xe9.jpg'), QUICK)
    assert found == ([('not-an-image', '')], None)


def test_names_that_promise_nothing(tmp_path: Path) -> None:
    for name in ('image', 'image.xyz', 'image.JPG', 'image.jfif'):
        assert inspect(encode(make_image()), tmp_path, name)[0] == []
