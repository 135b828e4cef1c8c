"""What one place says of sizes, the others follow or contradict before the first step."""

from pathlib import Path

import pytest
from paths import CONFIGS

from symmim_mm.config.image_size import image_channels, training_image_size
from symmim_mm.config.load import load_config, stated_weights
from symmim_mm.utils.errors import UserError

CROP = 'train_dataloader.dataset.pipeline.0.scale'
ARCH = dict(_delete_=True, embed_dims=96, num_layers=2, num_heads=3, feedforward_channels=96)


def load(name: str, tmp_path: Path, **options: object):
    options = {f'model.backbone.{k}' if '.' not in k else k: v for k, v in options.items()}
    return load_config(CONFIGS / name, work_dir=tmp_path, cfg_options=options, check_data=False)


@pytest.mark.parametrize(
    ('options', 'patches', 'patch', 'width'),
    [
        (dict(arch='deit-small'), 196, 16, 384),
        (dict(arch=ARCH, patch_size=32), 49, 32, 96),
        ({'img_size': (160, 96), CROP: (160, 96)}, 60, 16, 768),
    ],
)
def test_mae_follows_its_encoder(options, patches: int, patch: int, width: int, tmp_path) -> None:
    model = load('mae/vit_b_pretrain.py', tmp_path, **options).model
    neck = model.neck
    assert (neck.num_patches, neck.patch_size, neck.embed_dim) == (patches, patch, width)
    assert model.head.patch_size == patch


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('mae/vit_b_pretrain.py', dict(img_size=384), 'RandomResizedCrop of train_.*scale=224'),
        ('symmim/vit_b_pretrain.py', {CROP: 192}, 'img_size=224, but .*scale=192'),
        ('classification/vit_b_finetune_imagenet.py', dict(img_size=384), 'train_.*scale=224'),
        (
            'classification/vit_b_finetune_imagenet.py',
            {'img_size': 384, CROP: 384},
            'CenterCrop of val_dataloader gives crop_size=224',
        ),
        ('segmentation/upernet_vit_b_160k_ade20k.py', dict(img_size=640), 'crop_size=.*512, 512'),
        ('symmim/vit_b_pretrain.py', dict(img_size=(224, 448)), 'but .*scale=224: set both'),
    ],
)
def test_another_size_than_the_crops(name: str, options, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load(name, tmp_path, **options)


def test_mae_follows_the_channels_of_its_encoder(tmp_path: Path) -> None:
    options = {'model.backbone.patch_cfg.in_channels': 5}
    model = load('mae/vit_b_pretrain.py', tmp_path, **options).model
    assert (model.neck.in_chans, model.head.in_channels) == (5, 5)
    model = load('mae/vit_b_pretrain.py', tmp_path).model
    assert 'in_chans' not in model.neck and 'in_channels' not in model.head
    assert [image_channels(vit) for vit in ({}, dict(in_channels=2))] == [3, 2]


def test_what_a_config_need_not_have(tmp_path: Path) -> None:
    cfg = load('segmentation/upernet_vit_b_160k_ade20k.py', tmp_path)
    del cfg.model.data_preprocessor.size
    assert training_image_size(cfg) == (512, 512)
    options = dict(val_dataloader=None, val_cfg=None, val_evaluator=None)
    name = 'detection/mask-rcnn_vit_s_100ep_coco.py'
    cfg = load_config(CONFIGS / name, work_dir=tmp_path, cfg_options=options, check_data=False)
    assert training_image_size(cfg) == (1024, 1024)
    cfg.train_dataloader.dataset.pipeline = []
    with pytest.raises(UserError, match='the image size is unknown'):
        training_image_size(cfg)
    del cfg.model.backbone
    assert stated_weights(cfg) is None
