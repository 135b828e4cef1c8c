"""Fixtures of the tests of one's own data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from own_data import STD, VIT, write

from symmim_mm.apis.own_data.backbone import backbone_settings
from symmim_mm.config.load import load_config


class Trained(Exception):
    """Stands for a training, which is not run."""


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[str]]:
    """Run a command of one's own data up to its training; return what it reported."""

    def stop(*args: object, **kwargs: object) -> None:
        raise Trained

    for module in ('pretrain', 'transfer'):
        monkeypatch.setattr(f'symmim_mm.apis.own_data.{module}.train_planned', stop)
    monkeypatch.setattr('symmim_mm.apis.own_data.pretrain.measure_rate', lambda *a, **k: 9.0)

    def run(function: Callable[..., Path], *data: Path, **options: Any) -> list[str]:
        lines: list[str] = []
        options = dict(epochs=1, workers=0, out=tmp_path / 'out', report=lines.append) | options
        with pytest.raises(Trained):
            function(*data, **options)
        return lines

    return run


@pytest.fixture
def config_of(plan: Callable[..., list[str]], tmp_path: Path) -> Callable[..., Config]:
    """Return the config that a command writes, without training it."""

    def read(function: Callable[..., Path], *data: Path, **options: Any) -> Config:
        out = options.setdefault('out', tmp_path / 'out')
        plan(function, *data, **options)
        return load_config(next((out / 'plan').glob('*.py')))

    return read


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
