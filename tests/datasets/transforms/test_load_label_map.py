"""Label maps load as in the stock pipeline; what does not fit its image is refused by name."""

import os
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


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'not a label map'), (b'no image' * 20, 'not a label map'), (50, 'not a label map'),
        ('size', r'has \(4, 3\) rows and columns, its image \(3, 4\)'), ('none', 'cannot read'),
        ('color', 'not a label map .*3 channels'), ('bomb', 'not a label map .* bomb'),
        ('pipe', 'map.png: not a regular file'),
    ],
)  # fmt: skip
def test_label_maps_that_do_not_fit(results: dict, content: object, words: str) -> None:
    path = Path(results['seg_map_path'])
    if content == 'size':
        Image.new('L', (3, 4)).save(path)
    elif content == 'bomb':
        path.write_bytes(png_of_size(60_000, 60_000))
    elif content == 'color':
        Image.new('RGB', (4, 3)).save(path)
    elif content in ('none', 'pipe'):
        path.unlink()
        if content == 'pipe':
            os.mkfifo(path)
    else:
        path.write_bytes(path.read_bytes()[:content] if isinstance(content, int) else content)
    with pytest.raises(ImageError, match=words) as error:
        LoadLabelMap()(results)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('kind', 'value', 'words'),
    [
        (np.float32, 3, 'floating-point numbers'), (np.float32, np.nan, 'floating-point numbers'),
        (np.int32, -1, 'holds numbers from -1 to 0, label maps have 0 to 255'),
        (np.uint16, 259, 'holds numbers from 0 to 259'),
        (np.int32, 3, None), (np.uint16, 3, None), (np.uint8, 3, None),
    ],
)  # fmt: skip
def test_values_that_are_no_bytes(results: dict, kind: type, value: float, words: str) -> None:
    """A wider file is read as one of bytes where its values are the same."""
    path = Path(results['seg_map_path']).with_suffix('.tif')
    values = np.zeros((3, 4), kind)
    values[1, 2] = value
    Image.fromarray(values).save(path)
    results['seg_map_path'] = str(path)
    if words is None:
        assert LoadLabelMap()(results)['gt_seg_map'][1, 2] == 2
        return
    with pytest.raises(ImageError, match=words) as error:
        LoadLabelMap()(results)
    assert str(path) in str(error.value)
