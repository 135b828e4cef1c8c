"""Every config of the repository builds its model; the small ones inherit the full ones."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from paths import ROOT

from symmim_mm.config import TASKS
from symmim_mm.config.recipe import apply_recipe

CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)
NAMES = [str(path.relative_to(ROOT)) for path in CONFIGS]


def test_there_are_configs() -> None:
    assert len(CONFIGS) >= 25


@pytest.mark.parametrize('path', CONFIGS, ids=NAMES)
def test_config_builds(path: Path) -> None:
    cfg = Config.fromfile(path)
    assert cfg.run.task in TASKS
    assert cfg.run.dataset
    # A supervised training is a method of its own, other transfers continue one.
    assert ('method' in cfg.run) == (cfg.run.task == 'pretrain' or '_scratch_' in path.name)
    apply_recipe(cfg, 1 if {'quickstart', 'real', 'evidence'} & set(path.parts) else 8)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    # Without storage a ViT-L takes no memory; whatever needs real values fails on its own.
    with torch.device('meta') if 'quickstart' not in path.parts else torch.device('cpu'):
        model = MODELS.build(cfg.model)
    assert sum(parameter.numel() for parameter in model.backbone.parameters()) > 8e5
    assert cfg.optim_wrapper.optimizer.lr > 0


@pytest.mark.parametrize('kind', ['symmim', 'mae', 'simmim'])
@pytest.mark.parametrize(('size', 'millions'), [('s', 21.7), ('b', 85.8), ('l', 303.3)])
def test_full_size_encoders(kind: str, size: str, millions: float) -> None:
    """Published ViT sizes without head, plus the mask token of dense encoding."""
    cfg = Config.fromfile(ROOT / 'configs' / kind / f'vit_{size}_pretrain.py')
    init_default_scope('mmpretrain')
    with torch.device('meta'):
        backbone = MODELS.build(cfg.model.backbone)
    count = sum(
        value.numel() for name, value in backbone.named_parameters() if name != 'mask_token'
    )
    assert round(count / 1e6, 1) == millions


def test_quickstart_inherits_the_full_recipes() -> None:
    for kind in ('symmim', 'mae', 'simmim'):
        small = Config.fromfile(ROOT / 'configs' / 'quickstart' / f'{kind}_pretrain.py')
        full = Config.fromfile(ROOT / 'configs' / kind / 'vit_b_pretrain.py')
        assert small.model.type == full.model.type
        assert small.optim_wrapper.optimizer.type == full.optim_wrapper.optimizer.type
        for key in ('online_mask', 'momentum_mask', 'momentum', 'mask'):
            assert small.model.get(key) == full.model.get(key)
