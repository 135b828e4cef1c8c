"""Values of label maps as people have them: smoothed masks, JPEGs, values of no class."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from own_data import map_folders, stripes, write
from PIL import Image

from symmim_mm.apis.own_data.map_folder import open_maps
from symmim_mm.apis.own_data.map_values import are_smoothed, read_values
from symmim_mm.datasets.label_maps import SegmentationFolder
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.datasets.transforms.loading import LoadLabelMap
from symmim_mm.utils.errors import UserError


def ellipses(values: tuple[int, ...], side: int, background: int = 0) -> np.ndarray:
    """Draw regions of these values at random."""
    random = np.random.default_rng(0)
    label = np.full((side, side), background, np.uint8)
    for value in values:
        center, axes = random.integers(0, side, 2), random.integers(side // 12, side // 5, 2)
        cv2.ellipse(label, center.tolist(), axes.tolist(), 0, 0, 360, value, -1)
    return label


def scribbles(values: tuple[int, ...], side: int, thickness: int) -> np.ndarray:
    """Draw lines of these values on pixels that are ignored, next to a background."""
    random = np.random.default_rng(0)
    label = np.full((side, side), 255, np.uint8)
    label[: side // 4] = 0
    for value in values:
        start, end = random.integers(0, side, (2, 2)).tolist()
        cv2.line(label, start, end, value, thickness)
    return label


def compressed(label: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode('.jpg', label)[1], cv2.IMREAD_GRAYSCALE)


MASK = ellipses((255,) * 4, 128)
SMOOTHED = {
    'halved, whose edges have three values': cv2.resize(MASK, (64, 64)),
    'reduced': cv2.resize(MASK, (90, 90)),
    'reduced by Pillow': np.asarray(Image.fromarray(MASK).resize((64, 64))),
    'enlarged': cv2.resize(MASK, (500, 500), interpolation=cv2.INTER_CUBIC),
    'blurred': cv2.GaussianBlur(MASK, (5, 5), 0),
    'of a JPEG': compressed(MASK),
}
REAL = {
    'binary': MASK,
    'regions, ignored and not': ellipses((60, 255, 120, 180, 255, 240), 128),
    'many small regions': ellipses((*range(3, 200, 60), 255), 512),
    'scribbles': scribbles(tuple(range(1, 200, 20)), 256, 3),
    'thin scribbles': scribbles(tuple(range(1, 200, 20)), 256, 1),
    'all ignored but regions': ellipses((7, 140, 200, 0), 128, background=255),
}


@pytest.mark.parametrize('kind', SMOOTHED)
def test_smoothed_masks_are_refused(kind: str, tmp_path: Path) -> None:
    """Each value at an edge would be a class, and the object, of 255, ignored."""
    label = SMOOTHED[kind]
    for number, one in enumerate((np.where(label > 127, 255, 0).astype(np.uint8), label)):
        write(tmp_path / f'images/{number}.png', 9, len(label))
        write(tmp_path / f'masks/{number}.png', one)
    data = tmp_path / 'images', tmp_path / 'masks', tmp_path / 'all.txt'
    with pytest.raises(UserError, match='values between these, as in 1.png.*nearest neighbor'):
        open_maps(*data)


@pytest.mark.parametrize('kind', REAL)
def test_values_next_to_255_are_classes(kind: str, tmp_path: Path) -> None:
    label = REAL[kind]
    write(tmp_path / 'map.png', label)
    found = read_values(str(tmp_path / 'map.png'))
    assert found.values == set(np.unique(label).tolist()) and found.size == label.shape[::-1]
    assert not are_smoothed([found])


def test_label_maps_that_are_jpegs(tmp_path: Path) -> None:
    images, masks = map_folders(tmp_path, [stripes(0, 255)] * 2)
    for path in list(masks.iterdir()):
        cv2.imwrite(str(path.with_suffix('.jpg')), MASK)
        path.unlink()
    with pytest.raises(UserError, match='0.jpg is a JPEG.*write label maps as PNG'):
        open_maps(images, masks, tmp_path / 'all.txt')


def test_values_that_were_in_no_map_are_of_no_class(tmp_path: Path) -> None:
    """Maps may have changed since the plan was written; 1 is not the class of 255."""
    init_default_scope('mmseg')
    images, masks = map_folders(tmp_path, [stripes(0, 255), stripes(0, 1)])
    dataset = SegmentationFolder(
        values=(0, 255), data_root=str(tmp_path), img_suffix='.png', reduce_zero_label=False,
        data_prefix=dict(img_path=images.name, seg_map_path=masks.name),
        metainfo=dict(classes=('background', 'object')), pipeline=[],
    )  # fmt: skip
    results = [dict(dataset.get_data_info(index), ori_shape=(40, 40)) for index in range(2)]
    load = LoadLabelMap(classes=2)
    assert np.unique(load(results[0])['gt_seg_map']).tolist() == [0, 1]
    with pytest.raises(ImageError, match='pixels of none of the 2 classes, with values up to 1'):
        load(results[1])
