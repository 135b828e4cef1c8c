"""``--backbone`` with ``--branch``: which encoder of a SymMIM checkpoint a training starts from."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import init_default_scope
from paths import ROOT
from quickstart import write_config

from symmim_mm.apis.train import configure
from symmim_mm.config.file import read_config_file
from symmim_mm.engine.hooks.model_hooks import load_start
from symmim_mm.registry import HOOKS, MODELS
from symmim_mm.utils.errors import UserError


@pytest.mark.parametrize(('branch', 'value'), [('online', 2.0), ('momentum', 5.0)])
def test_the_encoder_of_the_branch_is_loaded(
    sample_data: Path, tmp_path: Path, branch: str, value: float
) -> None:
    init_default_scope('mmpretrain')
    cfg = read_config_file(ROOT / 'configs/quickstart/symmim_pretrain.py')
    model = MODELS.build(cfg.model)
    model.backbone.cls_token.data.fill_(2.0)
    model.momentum.backbone.cls_token.data.fill_(5.0)
    file = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), file)

    config = write_config(tmp_path, 'finetune', sample_data)
    cfg = configure(config, work_dir=tmp_path / 'work', backbone=file, branch=branch)
    loading, record = cfg.custom_hooks[-2:]
    classifier = MODELS.build(cfg.model)
    runner = SimpleNamespace(iter=0, model=classifier, cfg=cfg, logger=logging.getLogger('test'))
    HOOKS.build(loading).before_train(runner)
    assert classifier.backbone.cls_token.unique().tolist() == [value]
    # So that runs from the two encoders are not averaged as seeds.
    assert record.overrides == ([] if branch == 'online' else ['--branch=momentum'])


@pytest.mark.parametrize('memory', [0, 8])
def test_a_pretraining_starts_with_all_that_fits(memory: int, tmp_path: Path) -> None:
    """Heads are loaded with any memory of keys; the momentum branch is a copy of the online one."""
    init_default_scope('mmpretrain')
    cfg = read_config_file(ROOT / 'configs/quickstart/symmim_pretrain.py')
    source = MODELS.build(cfg.model)
    cfg.model.contrast.memory = memory
    model = MODELS.build(cfg.model)
    keys = [part.keys.clone() for part in model.contrast_head.memories]
    torch.save(dict(state_dict=source.state_dict(), meta={}), tmp_path / 'epoch_1.pth')
    load_start(model, str(tmp_path / 'epoch_1.pth'), 'online', logging.getLogger('test'))
    expected, found = source.state_dict(), model.state_dict()
    for name, value in found.items():
        if name.startswith(('backbone.', 'head.')) or 'contrast_head.pro' in name:
            assert torch.equal(value, expected[name]), name
        if name.startswith('momentum.'):
            online = name.removeprefix('momentum.').replace('projector', 'contrast_head.projector')
            assert torch.equal(value, found[online]), name
    assert all(map(torch.equal, keys, (part.keys for part in model.contrast_head.memories)))


def test_weights_that_a_config_names_are_recorded(sample_data: Path, tmp_path: Path) -> None:
    """A transfer from them is no random start."""
    file = tmp_path / 'weights.pth'
    torch.save(dict(state_dict={}), file)
    config = write_config(tmp_path, 'finetune', sample_data)
    for changes in (
        {'load_from': str(file)},
        {'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=str(file))},
    ):
        cfg = configure(config, work_dir=tmp_path / 'work', cfg_options=changes)
        assert cfg.custom_hooks[-1].backbone == str(file)


def test_a_branch_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='--branch momentum needs --backbone FILE'):
        configure(ROOT / 'configs/quickstart/finetune.py', work_dir=tmp_path, branch='momentum')
