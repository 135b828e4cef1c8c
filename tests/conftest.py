"""Shared fixtures. Every test starts with an empty default scope and fixed seeds."""

import os
import signal

# Tests load checkpoints as the tools do; see symmim_mm.cli.prepare_environment.
os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope, init_default_scope
from paths import ROOT
from torch.utils.data._utils import signal_handling
from warm_commands import WarmCommands, warm_commands

import symmim_mm  # noqa: F401  before any test imports mmdet, see symmim_mm.compat

# A shell starts background jobs deaf to Ctrl-C, and what they start inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is slow now and then; what a test may take is no property of the code.
settings.register_profile('suite', deadline=None, max_examples=50)
settings.load_profile('suite')


@pytest.fixture(autouse=True)
def fresh_scope() -> None:
    """Forget the default scopes that an earlier test left, and seed torch."""
    DefaultScope._instance_dict.clear()
    MMLogger._instance_dict.clear()
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture
def mmpretrain_scope() -> None:
    init_default_scope('mmpretrain')


@pytest.fixture(scope='session')
def tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommands]:
    """Run a command of ``tools/`` as a user does: ``tool('train.py', 'config.py', ...)``."""
    with warm_commands(ROOT, tmp_path_factory.mktemp('commands')) as commands:
        yield commands


@pytest.fixture
def sigchld() -> Iterator[None]:
    """What a fault does to the process is undone for the next test."""
    before = signal.getsignal(signal.SIGCHLD)
    yield
    signal.signal(signal.SIGCHLD, before)
    signal_handling._SIGCHLD_handler_set = False  # otherwise torch does not set its own again


@pytest.fixture(scope='session')
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of generated images in all three layouts."""
    from symmim_mm.datasets.sample.generate import write_sample_data

    out = tmp_path_factory.mktemp('sample') / 'data'
    write_sample_data(out, train=40, val=20, coco_train=16, coco_val=8, ade_train=16, ade_val=8)
    return out
