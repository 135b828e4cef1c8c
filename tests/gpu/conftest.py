"""Fixtures of the tests that need a GPU.

With ``SYMMIM_REHEARSE=1`` they run on the CPU, in float32, so that what fails on the first GPU is
not a typo.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from paths import ROOT
from warm_commands import WarmCommands, warm_commands

REHEARSE = os.environ.get('SYMMIM_REHEARSE') == '1'


@pytest.fixture(scope='session', autouse=True)  # before a fixture that trains
def device() -> torch.device:
    """The GPU, or the CPU in a rehearsal."""
    if torch.cuda.is_available():
        return torch.device('cuda')
    if REHEARSE:
        return torch.device('cpu')
    pytest.skip('needs a GPU')


@pytest.fixture(scope='session')
def amp() -> list[str]:
    """Option of the trainings: MMEngine has no mixed precision on a CPU."""
    return ['--amp'] if torch.cuda.is_available() else []


@pytest.fixture(scope='session')
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommands]:
    """Run a command of ``tools/``: ``command('train.py', 'config.py', ...)``."""
    folder = tmp_path_factory.mktemp('commands')
    # The package may be no installed one on a GPU host, and others may come from this path.
    path = [str(Path(__file__).parent), str(ROOT), *os.environ.get('PYTHONPATH', '').split(':')]
    env = dict(PYTHONPATH=':'.join(filter(None, path)))
    if REHEARSE:
        env['TORCH_COMPILE_DISABLE'] = '1'  # a C++ compiler's minutes; CPU tests do compile
    with warm_commands(ROOT, folder, **env) as commands:
        yield commands
