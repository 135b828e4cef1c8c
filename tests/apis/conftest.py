"""Fixtures of the tests of one's own data."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from own_data import STD, VIT, write

from symmim_mm.apis.own_data.backbone import backbone_settings


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Ten images of each of two classes."""
    for name in ('cat', 'dog'):
        for number in range(10):
            write(tmp_path / 'folder' / name / f'{number}.png', number)
    return tmp_path / 'folder'


@pytest.fixture(scope='module')
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-training's checkpoint of a ViT whose heads only its config gives."""
    from mmpretrain.models import VisionTransformer

    arch = backbone_settings(VIT)['arch']
    arch.pop('_delete_')
    model = VisionTransformer(arch=arch, img_size=VIT.image, patch_size=VIT.patch)
    config = Config(
        dict(model=dict(backbone=dict(arch=arch), data_preprocessor=dict(mean=STD, std=STD)))
    )
    state = {f'backbone.{key}': value for key, value in model.state_dict().items()}
    path = tmp_path_factory.mktemp('backbone') / 'epoch_1.pth'
    torch.save(dict(state_dict=state, meta=dict(cfg=config.pretty_text)), path)
    return path
