"""Features on disk: kept where there is room and images are files; an error nowhere."""

import resource
import signal
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.datasets import BaseDataset
from torch import nn

from symmim_mm.evaluation.feature_cache import cached, features_key


def test_a_full_disk_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A limit of 1000 bytes on what a process may write stands for the full disk."""
    features = dict(x=torch.ones(20, 8)), torch.ones(20, dtype=int)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        found, _ = cached(tmp_path, 'key', ['x'], lambda: features)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert found is features
    assert 'features not kept: ' in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ['key-x.lock']


def test_images_in_memory_have_no_key() -> None:
    class InMemory(BaseDataset):
        def load_data_list(self) -> list[dict]:
            return [dict(img=torch.zeros(8, 8, 3).numpy(), gt_label=0)]

    loader = dict(dataset=dict(type='InMemory'))
    cfg = dict(val_dataloader=loader, data_preprocessor={}, model=dict(backbone={}))
    assert features_key(nn.Linear(1, 1), InMemory(''), Config(cfg), 'val') is None
