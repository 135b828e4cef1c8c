"""Class maps load as in the stock pipeline; what does not fit its picture is refused by name."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from check_samples import png_of_size
from mmengine.registry import init_default_scope
from PIL import Image

from symmim_mm.datasets.transforms.decode_region import PictureError
from symmim_mm.datasets.transforms.load_label_map import LoadClassMap


@pytest.fixture
def class_map(tmp_path: Path) -> dict:
    init_default_scope('mmseg')
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    cv2.imwrite(str(tmp_path / 'map.png'), values)
    return dict(
        seg_map_path=str(tmp_path / 'map.png'), ori_shape=(3, 4), seg_fields=[],
        reduce_zero_label=True,
    )  # fmt: skip


def test_class_map_of_the_stock_step(class_map: dict) -> None:
    found = LoadClassMap(reduce_zero_label=True)(class_map)
    expected = np.arange(12, dtype=np.uint8).reshape(3, 4) - 1  # 0 becomes 255, not counted
    assert np.array_equal(found['gt_seg_map'], expected)
    assert found['seg_fields'] == ['gt_seg_map']


def test_classes_that_are_none(class_map: dict) -> None:
    found = LoadClassMap(classes=11, reduce_zero_label=True)(dict(class_map, seg_fields=[]))
    assert found['gt_seg_map'].max() == 255 and found['gt_seg_map'].min() == 0
    words = r'map.png has 2 pixels of no class, the largest number is 10 of 0 to 8: mend it'
    with pytest.raises(PictureError, match=words):
        LoadClassMap(classes=9, reduce_zero_label=True)(class_map)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'not a class map'), (b'no picture' * 20, 'not a class map'), (None, 'cannot read'),
        (50, 'not a class map'), ('size', r'has \(4, 3\) rows and columns, its picture \(3, 4\)'),
        ('colour', r'has \(3, 4, 3\) rows and columns'), ('bomb', 'not a class map .* bomb'),
    ],
)  # fmt: skip
def test_class_maps_that_do_not_fit(class_map: dict, content, words: str) -> None:
    path = Path(class_map['seg_map_path'])
    if content is None:
        path.unlink()
    elif isinstance(content, int):
        path.write_bytes(path.read_bytes()[:content])
    elif content == 'size':
        Image.new('L', (3, 4)).save(path)
    elif content == 'bomb':
        path.write_bytes(png_of_size(60_000, 60_000))
    elif content == 'colour':
        Image.new('RGB', (4, 3)).save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(PictureError, match=words) as error:
        LoadClassMap(reduce_zero_label=True)(class_map)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('kind', 'value', 'words'),
    [
        (np.float32, 3, 'holds floating-point numbers'),
        (np.float32, np.nan, 'holds floating-point numbers'),
        (np.int32, -1, 'holds numbers from -1 to 0, class maps have 0 to 255'),
        (np.uint16, 259, 'holds numbers from 0 to 259'),
        (np.int32, 3, None), (np.uint16, 3, None), (np.uint8, 3, None),
    ],
)  # fmt: skip
def test_values_that_are_no_bytes(class_map: dict, kind: type, value: float, words: str) -> None:
    """A wider file is read as one of bytes where its values are the same."""
    path = Path(class_map['seg_map_path']).with_suffix('.tif')
    values = np.zeros((3, 4), kind)
    values[1, 2] = value
    Image.fromarray(values).save(path)
    class_map['seg_map_path'] = str(path)
    if words is None:
        assert LoadClassMap(reduce_zero_label=True)(class_map)['gt_seg_map'][1, 2] == 2
        return
    with pytest.raises(PictureError, match=words) as error:
        LoadClassMap(reduce_zero_label=True)(class_map)
    assert str(path) in str(error.value)


def test_a_pipe_is_no_class_map(class_map: dict) -> None:
    path = Path(class_map['seg_map_path'])
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(PictureError, match='map.png is not a file'):
        LoadClassMap(reduce_zero_label=True)(class_map)
