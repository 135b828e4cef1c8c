"""ADE20K's layout: pairs, sizes, values, extensions."""

from pathlib import Path

import numpy as np
import pytest
from image_samples import encode, make_image, turned
from PIL import Image

from symmim_mm.datacheck.ade20k import plan_ade20k
from symmim_mm.datacheck.image import Options, inspect_label_map
from symmim_mm.datacheck.report import Report
from symmim_mm.datacheck.workers import check_job
from symmim_mm.utils.errors import UserError

JPEG = encode(make_image(40, 30))


def label_map(*values: int, width: int = 40, height: int = 30, kind: type = np.uint8) -> bytes:
    array = np.zeros((height, width), kind)
    array.flat[: len(values)] = values
    return encode(Image.fromarray(array), 'PNG')


def put(root: Path, split: str, stem: str, picture_: bytes | None, map_: bytes | None) -> None:
    for part, ending, data in (('images', 'jpg', picture_), ('annotations', 'png', map_)):
        if data is not None:
            path = root / part / split / f'{stem}.{ending}'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, 'training', 'a', JPEG, label_map(1, 150))
    put(tmp_path, 'validation', 'b', JPEG, label_map(0, 2))
    return tmp_path


def check(root: Path, classes: int | None = None, decode: bool = True) -> dict[str, list]:
    """All findings but those on the number of images."""
    report = Report('ade20k', root)
    plan = plan_ade20k(str(root), report, classes)
    jobs = list(plan.jobs)
    assert plan.total == len(jobs)
    highest = -1
    for job in jobs:
        outcome = check_job(job, Options(str(root), decode, classes=classes or 150))
        for finding in outcome.findings:
            report.add(*finding)
        highest = max(highest, outcome.highest)
    plan.end(highest)
    counts = report.findings.pop('image-count', [])
    assert (len(counts) == 2) == (classes is None)
    return report.findings


def test_clean(root: Path) -> None:
    assert check(root) == check(root, 150) == check(root, decode=False) == {}


def test_pairs(root: Path) -> None:
    put(root, 'training', 'deep/Baum ä', JPEG, label_map(3))
    put(root, 'training', 'deep/c', JPEG, None)
    put(root, 'training', 'd', None, label_map(1))
    assert check(root) == {
        'unpaired': [('images/training/deep/c.jpg', 'no label map deep/c in annotations/training')],
        'map-without-image': [('annotations/training/d.png', '')],
    }


def test_sizes(root: Path) -> None:
    put(root, 'training', 'c', JPEG, label_map(1, width=30, height=40))
    # Upright the image is 30 x 40: the map of the stored size does not fit, the other does.
    put(root, 'training', 'd', encode(make_image(40, 30), exif=turned(6)), label_map(1))
    put(root, 'training', 'e', encode(make_image(40, 30), exif=turned(6)),
        label_map(1, width=30, height=40))  # fmt: skip
    for decode in (True, False):
        found = check(root, decode=decode)
        assert found.pop('size-differs') == [
            ('annotations/training/c.png', 'label map 30 x 40, image 40 x 30'),
            ('annotations/training/d.png', 'label map 40 x 30, image 30 x 40'),
        ]
        assert set(found) == {'rotated'}


def test_fewer_classes(root: Path) -> None:
    put(root, 'training', 'a', JPEG, label_map(8))
    assert check(root) == {
        'class-count': [('annotations', 'the highest is 8, ADE20K has 150: set num_classes=8')]
    }
    assert check(root, 8) == {}
    assert check(root, 7) == {'stray-label': [('annotations/training/a.png', '8 in 1 pixel, L')]}


def tiff(value: float, kind: type) -> bytes:
    values = np.ones((30, 40), kind)
    values[0, 0] = value
    return encode(Image.fromarray(values), 'TIFF')


@pytest.mark.parametrize(
    ('data', 'kind', 'text'),
    [
        (b'', 'map-unreadable', '0 bytes'),
        (b'no image', 'map-unreadable', ''),
        (label_map(*range(150), *range(150))[:-40], 'map-unreadable', 'PNG 40 x 30: '),
        (encode(make_image(40, 30), 'PNG'), 'map-channels', '3 channels, RGB'),
        (encode(make_image(40, 30).convert('LA'), 'PNG'), 'map-channels', '2 channels, LA'),
        (encode(Image.new('L', (40, 30), 4)), 'map-lossy', 'JPEG'),
        (label_map(), 'unlabeled', ''),
        (label_map(255), 'unlabeled', ''),
        (encode(Image.new('L', (20_000, 20_000)), 'PNG'), 'enormous', 'PNG 20000 x 20000'),
        (label_map(151, 200, 201, 202, 203, 204, 254, 255, 7), 'stray-label',
         '151, 200, 201, 202, 203, ... in 7 pixels, L'),
        (label_map(3, 4000, kind=np.uint16), 'stray-label', '4000 in 1 pixel, I;16'),
        (tiff(3.0, np.float32), 'map-float', 'TIFF 40 x 30'),
        (tiff(np.nan, np.float32), 'map-float', 'TIFF 40 x 30'),
        (tiff(-1, np.int32), 'stray-label', '-1 in 1 pixel, I'),
    ],
)  # fmt: skip
def test_bad_label_maps(root: Path, data: bytes, kind: str, text: str) -> None:
    put(root, 'training', 'c', JPEG, data)
    ((path, said),) = check(root).pop(kind)
    assert path == 'annotations/training/c.png' and said.startswith(text)
    if kind in ('map-float', 'map-lossy', 'enormous') or not data:  # the header says it
        assert check(root, decode=False).keys() == {kind}


def test_integers_of_32_bits(root: Path) -> None:
    put(root, 'training', 'c', JPEG, tiff(3, np.int32))
    assert check(root) == {}


def test_palette_map_is_read_by_its_indices(tmp_path: Path) -> None:
    image = Image.fromarray(np.full((30, 40), 9, np.uint8)).convert('P')
    image.putpalette([value % 256 for value in range(768)])
    path = tmp_path / 'a.png'
    path.write_bytes(encode(image, 'PNG'))
    findings, highest = inspect_label_map(str(path), Options('', classes=150), (40, 30))
    assert (findings, highest) == ([], int(np.asarray(Image.open(path)).max()))


def test_extensions(root: Path) -> None:
    """One extension is read, with regard to case; the most frequent one is taken for it."""
    for stem in ('c', 'd'):
        (root / f'images/training/{stem}.png').write_bytes(encode(make_image(40, 30), 'PNG'))
        (root / f'annotations/training/{stem}.png').write_bytes(label_map(1))
    (root / 'images/validation/e.JPG').write_bytes(JPEG)
    found = check(root)
    assert found == {
        'suffix': [('images/training', ".png in place of .jpg: set img_suffix='.png'")],
        'mixed-suffix': [
            ('images/training/a.jpg', 'the others end in .png'),
            ('images/validation/e.JPG', 'the others end in .jpg'),
        ],
        'map-without-image': [('annotations/training/a.png', '')],
        'class-count': [('annotations', 'the highest is 2, ADE20K has 150: set num_classes=2')],
    }


def test_missing_folders(tmp_path: Path) -> None:
    inner = tmp_path / 'ade' / 'ADEChallengeData2016'
    for split in ('training', 'validation'):
        put(inner, split, 'a', JPEG, label_map(150))
    report = Report('ade20k', tmp_path)
    assert plan_ade20k(str(tmp_path), report).total == 0
    hint = f'found in {inner}: name that folder'
    assert [text for _, text in report.findings['missing-folder']] == [hint] * 4
    (inner / 'images/validation/a.jpg').unlink()
    report = Report('ade20k', inner)
    plan_ade20k(str(inner), report)
    assert report.findings['no-images'] == [('images/validation', '')]


def test_command(run_check, sample_data: Path, tmp_path: Path, capfd) -> None:
    run_check('ade20k', sample_data / 'ade20k', '--workers', 1)
    out = capfd.readouterr().out
    assert 'classes: the highest is 8' in out and "set img_suffix='.png'" in out
    put(tmp_path, 'training', 'a', JPEG[:-9], label_map(1, 151))
    put(tmp_path, 'validation', 'b', JPEG, label_map(0, 2))
    with pytest.raises(UserError, match=f'^{tmp_path}: 2 problems'):
        run_check('ade20k', tmp_path, '--workers', 1)
    out = capfd.readouterr().out
    assert 'images/training/a.jpg: JPEG 40 x 30: image file is truncated' in out
    assert 'annotations/training/a.png: 151 in 1 pixel, L' in out


@pytest.mark.parametrize(('values', 'text'), [((255,), 'but 0 and 255'), ((1,), '0 and 1 alone')])
def test_masks_of_one_object(root: Path, values: tuple[int, ...], text: str) -> None:
    for split, stem in (('training', 'a'), ('validation', 'b')):
        put(root, split, stem, None, label_map(*values))
    ((where, found),) = check(root)['one-class']
    assert where == 'annotations' and text in found
