"""What a record says of the data of a run."""

import copy
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, DefaultScope
from paths import ROOT

from symmim_mm.results.run_info import describe_data
from symmim_mm.utils.files import file_sha256


def dataset(config: str, root: Path, split: str) -> BaseDataset:
    cfg = Config.fromfile(ROOT / 'configs' / config)
    settings = copy.deepcopy(cfg[f'{split}_dataloader'].dataset)
    settings.data_root = str(root)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain')):
        return DATASETS.build(settings)


def test_coco_is_known_by_its_annotation_file(sample_data: Path) -> None:
    root = sample_data / 'coco'
    train, val = (dataset('quickstart/mask_rcnn.py', root, split) for split in ('train', 'val'))
    data = describe_data(train, val)
    assert (data.train.images, data.val.images) == (16, 8)
    assert data.train.classes == len(train.metainfo['classes'])
    assert data.val.fingerprint == file_sha256(val.ann_file)


@pytest.mark.parametrize(
    ('config', 'folder', 'counts'),
    [
        ('quickstart/upernet.py', 'ade20k', (16, 8)),
        ('quickstart/finetune.py', 'imagenet', (40, 20)),
        ('quickstart/mae_pretrain.py', 'imagenet', (40, None)),
    ],
)
def test_folders_are_known_by_their_lists(
    sample_data: Path, tmp_path: Path, config: str, folder: str, counts: tuple
) -> None:
    """By names below the root, wherever that is."""
    splits = ['train'] if counts[1] is None else ['train', 'val']
    moved = tmp_path / 'moved'
    moved.symlink_to(sample_data / folder)
    both = [
        describe_data(
            *[dataset(config, root, split) for split in splits], *[None] * (2 - len(splits))
        )
        for root in (sample_data / folder, moved)
    ]
    assert both[0] == both[1]
    assert (both[0].train.images, both[0].val and both[0].val.images) == counts
    assert both[0].train.fingerprint and both[0].train != both[0].val
    assert (both[0].train.classes is None) == ('pretrain' in config)
