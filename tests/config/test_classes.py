"""Own classes are named once; heads, label maps and the other datasets follow."""

from pathlib import Path

import pytest
from paths import CONFIGS

from symmim_mm.config.load import load_config
from symmim_mm.utils.errors import UserError

OWN = ['cell', 'nucleus']
SEGMENTATION = 'segmentation/upernet_vit_b_160k_ade20k.py'
FINETUNE = 'classification/vit_b_finetune_imagenet.py'
DETECTION = 'detection/mask-rcnn_vit_b_1x_coco.py'
NAMED = {'train_dataloader.dataset.metainfo': dict(classes=OWN)}


def load(name: str, tmp_path: Path, **changes: object):
    own = {} if name.startswith('classification') else NAMED
    options = own | {key.replace('__', '.'): value for key, value in changes.items()}
    return load_config(CONFIGS / name, work_dir=tmp_path, cfg_options=options, check_data=False)


def test_segmentation_follows_the_training_data(tmp_path: Path) -> None:
    cfg = load(SEGMENTATION, tmp_path)
    assert cfg.model.decode_head.num_classes == cfg.model.auxiliary_head.num_classes == 2
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = loader.dataset
        assert (dataset.type, dataset.reduce_zero_label) == ('mmseg.BaseSegDataset', True)
        assert dataset.metainfo.classes == OWN
        assert [step.classes for step in dataset.pipeline if 'LabelMap' in step.type] == [2]


def test_label_maps_of_all_parts_are_read_alike(tmp_path: Path) -> None:
    """Also those of the test, which a config makes of the validation data."""
    changes = dict(
        train_dataloader__dataset__reduce_zero_label=False,
        train_dataloader__dataset__img_suffix='.png',
        test_dataloader__dataset__img_suffix='.bmp',
    )
    cfg = load(SEGMENTATION, tmp_path, **changes)
    for part, suffix in (('train', '.png'), ('val', '.png'), ('test', '.bmp')):
        dataset = cfg[f'{part}_dataloader'].dataset
        assert (dataset.reduce_zero_label, dataset.img_suffix) == (False, suffix)


def test_detection_follows_the_training_data(tmp_path: Path) -> None:
    heads = load(DETECTION, tmp_path).model.roi_head
    assert heads.bbox_head.num_classes == heads.mask_head.num_classes == 2
    assert load(DETECTION, tmp_path).val_dataloader.dataset.metainfo.classes == OWN


def test_some_of_ade20ks_classes_stay_ade20k(tmp_path: Path) -> None:
    changes = dict(train_dataloader__dataset__metainfo=dict(classes=['sky', 'tree']))
    cfg = load(SEGMENTATION, tmp_path, **changes)
    assert cfg.train_dataloader.dataset.type == 'mmseg.ADE20KDataset'
    assert cfg.model.decode_head.num_classes == 2


@pytest.mark.parametrize(
    ('name', 'change', 'wrong'),
    [
        (SEGMENTATION, {'model.decode_head.num_classes': 7}, 'model.decode_head.num_classes=7'),
        (DETECTION, {'model.roi_head.mask_head.num_classes': 3}, 'mask_head.num_classes=3'),
        (
            DETECTION,
            {'val_dataloader.dataset.metainfo': dict(classes=['nucleus', 'cell'])},
            'val_dataloader.dataset.metainfo names other classes',
        ),
        (DETECTION, {'model.roi_head.bbox_head.num_classes': 1}, 'bbox_head.num_classes=1'),
        (SEGMENTATION, {'model.auxiliary_head.num_classes': 3}, 'auxiliary_head.num_classes=3'),
        (
            SEGMENTATION,
            {'test_dataloader.dataset.metainfo': dict(classes=['nucleus', 'cell'])},
            'test_dataloader.dataset.metainfo names other classes',
        ),
        (
            SEGMENTATION,
            {'train_dataloader.dataset.pipeline.1.classes': 9},
            'LoadLabelMap.classes=9',
        ),
        (
            FINETUNE,
            {'data_preprocessor.num_classes': 7},
            'data_preprocessor.num_classes=7, .*=1000',
        ),
        (
            FINETUNE,
            {'model.head.num_classes': 4, 'val_evaluator.topk': (1, 5)},
            'the 4 classes of model',
        ),
        (
            FINETUNE,
            {'model.head.num_classes': 4, 'test_evaluator.topk': 5},
            'test_evaluator.topk=5',
        ),
    ],
)
def test_contradictions(name: str, change: dict, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=wrong):
        load(name, tmp_path, **change)


@pytest.mark.parametrize(('classes', 'topk'), [(3, (1,)), (10, (1, 5))])
@pytest.mark.parametrize('task', ['finetune', 'linear', 'attentive'])
def test_a_classifier_follows_its_head(task: str, classes: int, topk: tuple, tmp_path) -> None:
    name = f'classification/vit_b_{task}_imagenet.py'
    cfg = load(name, tmp_path, model__head__num_classes=classes)
    assert cfg.data_preprocessor.num_classes == classes
    assert cfg.val_evaluator.topk == cfg.test_evaluator.topk == topk
