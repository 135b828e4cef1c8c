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


def test_a_branch_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='--branch momentum needs --backbone FILE'):
        configure(ROOT / 'configs/quickstart/finetune.py', work_dir=tmp_path, branch='momentum')
