"""The sample data: same bytes, valid annotations, classes that color does not give away."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from sample_folders import SMALL, files_of

from symmim_mm.datasets.sample import shapes
from symmim_mm.datasets.sample.generate import write_sample_data
from symmim_mm.datasets.sample.layouts import image_rng
from symmim_mm.datasets.sample.scenes import (
    CLASSES,
    MIN_VISIBLE,
    SEGMENTATION_CLASSES,
    draw_classification_image,
    draw_scene,
)  # fmt: skip
from symmim_mm.datasets.sample.shapes import SHAPES


@pytest.fixture(scope='module')
def scenes() -> list:
    return [draw_scene(image_rng(5, 'coco', 0, index), 96) for index in range(60)]


def test_the_seed_gives_the_bytes(small: Path, tmp_path: Path) -> None:
    """Of every image, however many are asked for; no two are alike in splits, parts or seeds."""
    one = files_of(small)
    write_sample_data(tmp_path / 'again', **SMALL)
    assert files_of(tmp_path / 'again') == one
    more = {name: value + 7 for name, value in SMALL.items() if 'size' not in name}
    write_sample_data(tmp_path / 'more', **{**SMALL, **more})
    write_sample_data(tmp_path / 'other', seed=1, **SMALL)
    longer, other = files_of(tmp_path / 'more'), files_of(tmp_path / 'other')
    assert one.keys() == other.keys() < longer.keys()
    images = [name for name in one if name.endswith('.png')]
    assert len({one[name] for name in images}) == len(images) == 50 + 10  # and label maps
    assert all(one[name] == longer[name] and one[name] != other[name] for name in images)
    name = 'coco/annotations/instances_train2017.json'
    annotations, further = (json.loads(data[name])['annotations'] for data in (one, longer))
    assert further[: len(annotations)] == annotations and len(further) > len(annotations)


def test_layout_and_manifest(small: Path) -> None:
    manifest = json.loads((small / 'manifest.json').read_text())
    assert manifest['counts'] == {
        'imagenet': {'train': 20, 'val': 10},
        'coco': {'train2017': 6, 'val2017': 4},
        'ade20k': {'training': 6, 'validation': 4},
    }
    assert manifest['size'] == {'imagenet': 48, 'coco': 64, 'ade20k': 64}
    assert manifest['classes'] == {
        'imagenet': list(CLASSES),
        'coco': list(SHAPES),
        'ade20k': list(SEGMENTATION_CLASSES),
    }
    for split, per_class in (('train', 2), ('val', 1)):
        folders = sorted((small / 'imagenet' / split).iterdir())
        assert [folder.name for folder in folders] == sorted(CLASSES)
        assert all(len(list(folder.glob('*.png'))) == per_class for folder in folders)
    image = cv2.imread(str(next((small / 'imagenet/train').rglob('*.png'))))
    assert image.shape == (48, 48, 3) and image.dtype == np.uint8
    for split in ('training', 'validation'):
        names = [p.name for p in sorted((small / 'ade20k/images' / split).iterdir())]
        assert names == [p.name for p in sorted((small / 'ade20k/annotations' / split).iterdir())]
    assert [p.name for p in small.parent.iterdir()] == ['data']


@pytest.mark.parametrize('number, split', enumerate(['train2017', 'val2017']))
def test_coco_annotations_describe_what_was_drawn(small: Path, number: int, split: str) -> None:
    coco = COCO(str(small / f'coco/annotations/instances_{split}.json'))
    assert [coco.cats[i]['name'] for i in sorted(coco.cats)] == list(SHAPES)
    assert len(coco.imgs) == len(list((small / 'coco' / split).iterdir()))
    for index, image_id in enumerate(sorted(coco.imgs)):
        info = coco.imgs[image_id]
        image = cv2.imread(str(small / 'coco' / split / info['file_name']))[..., ::-1]
        assert info['file_name'] == f'{image_id:012d}.png'
        assert image.shape == (info['height'], info['width'], 3) == (64, 64, 3)
        scene = draw_scene(image_rng(0, 'coco', number, index), 64)
        assert np.array_equal(image, scene.image)
        found = coco.loadAnns(coco.getAnnIds(image_id))
        assert [ann['category_id'] - 1 for ann in found] == scene.labels
        for ann, drawn in zip(found, scene.masks, strict=True):
            mask = coco.annToMask(ann).astype(bool)
            assert np.array_equal(mask, drawn)
            assert ann['area'] == mask.sum() > 0 and ann['iscrowd'] == 0
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            left, top = columns[0], rows[0]
            assert ann['bbox'] == [left, top, columns[-1] - left + 1, rows[-1] - top + 1]


def test_mmdet_loads_the_masks(small: Path) -> None:
    from mmdet.datasets import CocoDataset
    from mmdet.datasets.transforms import LoadAnnotations

    dataset = CocoDataset(
        data_root=str(small / 'coco'),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        metainfo=dict(classes=SHAPES),
        pipeline=[],
        serialize_data=False,
    )
    assert len(dataset) == SMALL['coco_train']
    for index in range(len(dataset)):
        info = {**dataset.get_data_info(index), 'ori_shape': (64, 64)}
        loaded = LoadAnnotations(with_bbox=True, with_mask=True)(info)
        scene = draw_scene(image_rng(0, 'coco', 0, index), 64)
        assert loaded['gt_bboxes_labels'].tolist() == scene.labels
        assert not loaded['gt_ignore_flags'].any()
        assert np.array_equal(loaded['gt_masks'].masks.astype(bool), np.stack(scene.masks))


def test_objects_are_visible_disjoint_and_not_tiny(scenes: list) -> None:
    counts = [len(scene.masks) for scene in scenes]
    assert min(counts) >= 2 and max(counts) <= 5 and len(set(counts)) == 4
    assert {label for scene in scenes for label in scene.labels} == set(range(len(SHAPES)))
    for scene in scenes:
        assert np.stack(scene.masks).sum(0).max() == 1
        assert min(mask.sum() for mask in scene.masks) >= MIN_VISIBLE * (0.19 * 96) ** 2 * 0.9


def test_label_maps(small: Path, scenes: list) -> None:
    seen = set()
    for number, split in enumerate(('training', 'validation')):
        for index, path in enumerate(sorted((small / 'ade20k/annotations' / split).iterdir())):
            label_map = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert label_map.dtype == np.uint8 and label_map.shape == (64, 64)
            seen |= set(np.unique(label_map).tolist())
            scene = draw_scene(image_rng(0, 'ade20k', number, index), 64)
            assert np.array_equal(label_map, scene.label_map)
    assert seen == set(range(len(SEGMENTATION_CLASSES) + 1))
    for scene in scenes:
        for label, mask in zip(scene.labels, scene.masks, strict=True):
            assert set(np.unique(scene.label_map[mask])) <= {0, label + 1}
        things = np.any(scene.masks, axis=0)
        assert (scene.label_map[~things] % 7 <= 1).all()  # 0, 7 (sky) or 8 (ground)
    assert np.mean([(scene.label_map == 0).mean() for scene in scenes]) < 0.1


@pytest.mark.parametrize('shape', SHAPES)
def test_every_shape_has_area_one(shape: str) -> None:
    axis = np.linspace(-1.2, 1.2, 961, dtype=np.float32)
    inside = shapes.signed_distance(shape, axis[None, :] + 0 * axis[:, None], axis[:, None]) < 0
    assert inside.sum() * 0.0025**2 == pytest.approx(1, rel=0.01)
    reach = np.sqrt(axis[None, :] ** 2 + axis[:, None] ** 2)[inside].max()
    assert reach == pytest.approx(shapes.REACH[shape], abs=0.01)


@pytest.mark.parametrize('texture', [t for t in shapes.TEXTURES if t != 'plain'])
def test_both_colors_of_a_pattern_cover_half(texture: str) -> None:
    axis = np.arange(-60, 60, dtype=np.float32) + 0.5
    u, v = np.meshgrid(axis, axis)
    weight = shapes.texture_weight(texture, u, v, 10.0)
    assert weight.min() == 0 and weight.max() == 1
    assert weight.mean() == pytest.approx(0.5, abs=0.03)


def accuracy_of_centroids(train: np.ndarray, val: np.ndarray) -> float:
    """Nearest class centroid on standardised features; both sets go through the classes in turn."""
    mean, spread = train.mean(0), train.std(0) + 1e-6
    train, val = (train - mean) / spread, (val - mean) / spread
    centroids = np.stack([train[label :: len(CLASSES)].mean(0) for label in range(len(CLASSES))])
    nearest = ((val[:, None] - centroids[None]) ** 2).sum(-1).argmin(1)
    return float((nearest == np.arange(len(val)) % len(CLASSES)).mean())


def histogram(image: np.ndarray) -> np.ndarray:
    colors, _ = np.histogramdd(image.reshape(-1, 3), bins=4, range=[(0, 256)] * 3)
    return colors.ravel() ** 0.5


def test_color_tells_little() -> None:
    train, val = (
        [
            draw_classification_image(image_rng(0, 'imagenet', split, i), i % len(CLASSES), 48)
            for i in range(count)
        ]
        for split, count in enumerate((300, 200))
    )
    for feature in (histogram, lambda image: image.mean((0, 1))):
        features = (np.stack([feature(image) for image in images]) for images in (train, val))
        assert accuracy_of_centroids(*features) < 2 / len(CLASSES)
