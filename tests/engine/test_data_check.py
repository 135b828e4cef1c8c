"""Label maps from which nothing can be learned are refused before the first step."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from symmim_mm.engine.data_check import check_dataset, check_label_maps
from symmim_mm.utils.errors import UserError


def dataset(root: Path, values: tuple[int, ...], **options: object):
    init_default_scope('mmseg')
    for part in ('images', 'maps'):
        (root / part).mkdir(parents=True)
    for index, value in enumerate(values):
        (root / f'images/{index}.jpg').touch()
        Image.fromarray(np.full((2, 3), value, np.uint8)).save(root / f'maps/{index}.png')
    settings = dict(
        type='mmseg.BaseSegDataset', data_root=str(root), reduce_zero_label=True,
        data_prefix=dict(img_path='images', seg_map_path='maps'),
        metainfo=dict(classes=('a', 'b', 'c')),
    )  # fmt: skip
    return DATASETS.build(settings | options)


@pytest.mark.parametrize(
    ('values', 'reduce', 'left'),
    [
        ((0, 255), False, 'hold 0, 255, which leaves one class .* store 0 and 1'),
        ((0, 255), True, 'hold 0, 255, which leaves no labeled pixel .* store 0 and 1'),
        ((0, 1), True, 'hold 0, 1, which leaves one class .* reduce_zero_label=False'),
        ((0, 0), True, 'hold 0, which leaves no labeled pixel'),
        ((3, 3), True, 'hold 3, which leaves one class .* check the label maps'),
    ],
)
def test_fewer_than_two_classes(tmp_path: Path, values, reduce: bool, left: str) -> None:
    with pytest.raises(UserError, match=left):
        check_label_maps(dataset(tmp_path, values, reduce_zero_label=reduce))


def test_a_class_that_never_occurs_is_named(tmp_path: Path, capfd) -> None:
    check_label_maps(dataset(tmp_path / 'all', (0, 1, 2, 3)))
    check_label_maps(dataset(tmp_path / 'two', (0, 1), reduce_zero_label=False))
    check_label_maps(dataset(tmp_path / 'unnamed', (1, 2), metainfo={}))
    assert ''.join(capfd.readouterr()).count('no pixel of the training data is c') == 1


def test_reduce_zero_label_in_two_places(tmp_path: Path) -> None:
    pipeline = [dict(type='mmseg.LoadAnnotations', reduce_zero_label=False)]
    data = dataset(tmp_path, (1, 2), pipeline=pipeline)
    with pytest.raises(UserError, match='LoadAnnotations of the train data has reduce_zero_label'):
        check_dataset(data, 'train', {})
