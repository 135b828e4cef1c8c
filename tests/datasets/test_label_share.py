"""A share of a detection or segmentation dataset: balanced, nested, the same everywhere."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from symmim_mm.datasets.label_share import use_label_share
from symmim_mm.engine.launch import substitute_types
from symmim_mm.results.run_info import describe_data
from symmim_mm.utils.errors import UserError

NAMES = tuple('abcde')
FREQUENT = np.array([0.9, 0.5, 0.25, 0.1, 0.03])  # share of images with each class
IMAGES = 500


def presence() -> np.ndarray:
    """Return which image has which class, bool ``(N, 5)``; a few images have none."""
    return np.random.default_rng(0).random((IMAGES, len(NAMES))) < FREQUENT


def write_coco(root: Path) -> dict:
    instances = [
        dict(id=10 * image + label + 1, image_id=image, category_id=label, area=9, iscrowd=0,
             bbox=[label, 1, 3, 3], segmentation=[[0, 0, 3, 0, 3, 3]])
        for image, label in np.argwhere(presence()).tolist()
    ]  # fmt: skip
    images = [dict(id=i, file_name=f'{i:03}.jpg', width=8, height=8) for i in range(IMAGES)]
    categories = [dict(id=label, name=name) for label, name in enumerate(NAMES)]
    content = dict(images=images, annotations=instances, categories=categories)
    (root / 'train.json').write_text(json.dumps(content))
    return dict(
        type='mmdet.CocoDataset', data_root=str(root), ann_file='train.json',
        data_prefix=dict(img='images'), metainfo=dict(classes=NAMES),
    )  # fmt: skip


def write_maps(root: Path) -> dict:
    for part in ('images', 'maps'):
        (root / part).mkdir()
    for index, row in enumerate(presence()):
        (root / f'images/{index:03}.jpg').touch()
        labels = np.where(row, np.arange(1, 6), 0).astype(np.uint8)
        Image.fromarray(np.stack((labels, labels))).save(root / f'maps/{index:03}.png')
    return dict(
        type='mmseg.BaseSegDataset', data_root=str(root), metainfo=dict(classes=NAMES),
        data_prefix=dict(img_path='images', seg_map_path='maps'), reduce_zero_label=True,
    )  # fmt: skip


@pytest.fixture(params=[write_coco, write_maps])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> dict:
    init_default_scope('mmdet' if request.param is write_coco else 'mmseg')
    (tmp_path / 'data').mkdir()
    return request.param(tmp_path / 'data')


def build(data: dict, labels: object = None) -> BaseDataset:
    return DATASETS.build(use_label_share(dict(data, labels=labels)))


def numbers(dataset: BaseDataset) -> list[int]:
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return [int(Path(info['img_path']).stem) for info in infos]


def test_shares_are_balanced_nested_and_disjoint(data: dict) -> None:
    whole = numbers(build(data))
    found = {share: numbers(build(data, share)) for share in (0.1, 0.5, (0.5, 1.0))}
    small, large, rest = map(set, found.values())
    assert small < large and not large & rest and large | rest == set(whole)
    has = presence()
    for share, images in ((0.1, found[0.1]), (0.5, found[0.5])):
        assert len(images) / len(whole) == pytest.approx(share, abs=0.005)
        shares = has[images].sum(axis=0) / has[whole].sum(axis=0)
        # The rarest class exactly, the others as a random choice of so many would at worst.
        assert shares[-1] == pytest.approx(share, abs=0.5 / has[:, -1].sum())
        error = np.sqrt(share * (1 - share) / has[whole].sum(axis=0))
        assert (np.abs(shares - share) < 3 * error).all()
    # At least one image of each class that is the rarest one of any.
    assert has[numbers(build(data, 0.001))].any(axis=0).all()


def test_a_share_depends_on_names_and_classes_alone(data: dict, tmp_path: Path) -> None:
    first = numbers(build(data, 0.2))
    np.random.seed(3)
    assert numbers(build(data, [0.0, 0.2])) == first
    moved = (tmp_path / 'data').rename(tmp_path / 'moved')
    assert numbers(build(dict(data, data_root=str(moved)), 0.2)) == first


def test_the_record_says_what_was_chosen(data: dict) -> None:
    """Number of images, and a fingerprint that depends on the choice."""
    found = [describe_data(build(data, labels), None).train for labels in (None, 0.5, (0.5, 1.0))]
    assert [split.images for split in found][0] > found[1].images
    assert len({split.fingerprint for split in found}) == 3


def test_training_reads_the_share(data: dict) -> None:
    """``labels`` is taken where runs are started, inside of other datasets, too."""
    parts = dict(type='ConcatDataset', datasets=[dict(data, labels=0.1), dict(data, labels=0.2)])
    cfg = Config(dict(train_dataloader=dict(dataset=parts)))
    substitute_types(cfg)
    counts = Counter(numbers_of_parts(cfg.train_dataloader.dataset))
    substitute_types(cfg)  # that of a finished run has been through it
    assert Counter(numbers_of_parts(cfg.train_dataloader.dataset)) == counts
    assert max(counts.values()) == 2 and len(counts) == pytest.approx(0.2 * IMAGES, abs=15)


def numbers_of_parts(dataset: dict) -> list[int]:
    return [number for part in DATASETS.build(dataset).datasets for number in numbers(part)]


@pytest.mark.parametrize(
    ('labels', 'wrong'), [(2, 'must be a share'), (0.5, 'belongs to the datasets inside')]
)
def test_mistakes(data: dict, labels: float, wrong: str) -> None:
    outer = dict(type='ConcatDataset', datasets=[data]) if labels < 1 else data
    with pytest.raises(UserError, match=wrong):
        build(outer, labels)


def test_class_folders_are_left_to_image_folder(tree: Path) -> None:
    data = dict(type='mmpretrain.CustomDataset', data_root=str(tree))
    with pytest.raises(UserError, match='CustomDataset has neither: .* take symmim_mm.ImageFolder'):
        build(data, 0.5)
