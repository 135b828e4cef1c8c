"""Label maps load as in the stock pipeline; what does not fit its image is refused by name."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from image_samples import png_of_size
from mmengine.registry import init_default_scope
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.datasets.transforms.loading import LoadLabelMap


@pytest.fixture
def results(tmp_path: Path) -> dict:
    init_default_scope('mmseg')
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    values[2, 3] = 255
    cv2.imwrite(str(tmp_path / 'map.png'), values)
    return dict(
        seg_map_path=str(tmp_path / 'map.png'), ori_shape=(3, 4), seg_fields=[],
        reduce_zero_label=True,
    )  # fmt: skip


@pytest.mark.parametrize('reduce', [True, False])
@pytest.mark.parametrize('mapping', [None, {3: 4, 4: 3, 0: 255}])
def test_labels_of_the_stock_step(results: dict, reduce: bool, mapping: dict | None) -> None:
    results |= dict(reduce_zero_label=reduce, label_map=mapping)
    found = LoadLabelMap()(dict(results, seg_fields=[]))
    expected = LoadAnnotations()(dict(results, seg_fields=[]))
    assert found.keys() == expected.keys() and found['seg_fields'] == ['gt_seg_map']
    assert np.array_equal(found['gt_seg_map'], expected['gt_seg_map'])
    assert found['gt_seg_map'].dtype == np.uint8 and found['gt_seg_map'].flags.writeable


def test_labels_of_no_class(results: dict) -> None:
    found = LoadLabelMap(classes=10)(dict(results, seg_fields=[]))
    assert found['gt_seg_map'].max() == 255 and found['gt_seg_map'].min() == 0
    words = r'map.png has 2 pixels of no class, the largest number is 9 of 0 to 7: fix it'
    with pytest.raises(ImageError, match=words):
        LoadLabelMap(classes=8)(results)


def tiff(kind: type, value: float) -> Callable[[Path], None]:
    values = np.zeros((3, 4), kind)
    values[1, 2] = value
    return lambda path: Image.fromarray(values).save(path, 'TIFF')


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda path: path.write_bytes(b''), 'not a label map'),
        (lambda path: path.write_bytes(b'no image' * 20), 'not a label map'),
        (lambda path: os.truncate(path, 50), 'not a label map'),
        (lambda path: path.write_bytes(png_of_size(60_000, 60_000)), 'not a label map .* bomb'),
        (lambda path: Image.new('RGB', (4, 3)).save(path), 'not a label map .*3 channels'),
        (lambda path: Image.new('L', (3, 4)).save(path),
         r'has \(4, 3\) rows and columns, its image \(3, 4\)'),
        (Path.unlink, 'cannot read'),
        (pipe, 'map.png: not a regular file'),
        (tiff(np.float32, 3), 'floating-point numbers'),
        (tiff(np.float32, np.nan), 'floating-point numbers'),
        (tiff(np.int32, -1), 'holds numbers from -1 to 0, label maps have 0 to 255'),
        (tiff(np.uint16, 259), 'holds numbers from 0 to 259'),
    ],
)  # fmt: skip
def test_label_maps_that_do_not_fit(results: dict, damage: Callable, words: str) -> None:
    path = Path(results['seg_map_path'])
    damage(path)
    with pytest.raises(ImageError, match=words) as error:
        LoadLabelMap()(results)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('kind', [np.int32, np.uint16, np.uint8])
def test_a_wider_file_is_read_as_one_of_bytes(results: dict, kind: type) -> None:
    tiff(kind, 3)(Path(results['seg_map_path']))
    assert LoadLabelMap()(results)['gt_seg_map'][1, 2] == 2
