"""Nothing is fetched: every command of a whole way, where each connection is an error."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT
from quickstart import data_options
from warm_commands import WarmCommands, warm_commands

pytestmark = pytest.mark.slow

# Where it is permitted, the kernel has no way out either, also for libraries that are not Python.
WITHOUT_DEVICES = ['unshare', '--user', '--map-root-user', '--net']
GUARD = str(Path(__file__).with_name('no_network'))
CONFIGS = ROOT / 'configs' / 'quickstart'


@pytest.fixture(scope='module')
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('network') / 'log'


@pytest.fixture(scope='module')
def guarded(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Iterator[WarmCommands]:
    """Commands in processes that have no way out, and home folders without any cache."""
    folder = tmp_path_factory.mktemp('commands')
    within = WITHOUT_DEVICES if shutil.which('unshare') else []
    if within and subprocess.run([*within, 'true'], capture_output=True).returncode:
        within = []
    path = os.pathsep.join(filter(None, (GUARD, str(ROOT), os.environ.get('PYTHONPATH'))))
    empty = dict(HOME=str(folder), XDG_CACHE_HOME=str(folder / 'cache'))
    env = dict(empty, PYTHONPATH=path, NETWORK_LOG=str(log))
    with warm_commands(ROOT, folder, *within, **env) as commands:
        yield commands


def test_the_guard_guards(tmp_path: Path) -> None:
    for line in (
        "import urllib.request; urllib.request.urlopen('https://example.org')",
        "import socket; socket.socket().connect(('192.0.2.1', 80))",
        "import torch; torch.hub.load_state_dict_from_url('https://example.org/x.pth')",
    ):
        log = tmp_path / 'log'
        done = subprocess.run(
            [sys.executable, '-c', line], capture_output=True, text=True,
            env={**os.environ, 'PYTHONPATH': GUARD, 'NETWORK_LOG': str(log), 'HOME': str(tmp_path)},
        )  # fmt: skip
        assert done.returncode and 'out of bounds' in done.stderr, done.stderr
        assert log.read_text()
        log.unlink()


def test_the_whole_way_without_a_network(
    guarded: WarmCommands, log: Path, tmp_path: Path, sample_data: Path
) -> None:
    """Sample data, pre-training, every transfer, evaluation, images, export, report, suite."""

    def run(name: str, *words: str | Path) -> None:
        done = guarded(name, *words)
        assert not log.exists(), log.read_text()
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]

    def options(config: str, *more: str) -> list[str]:
        return ['--cfg-options', *data_options(config, sample_data), *more]

    run('make_sample_data.py', tmp_path / 'data', '--train', '10', '--val', '10',
        '--coco-train', '1', '--coco-val', '1', '--ade-train', '1', '--ade-val', '1')  # fmt: skip
    run('check_dataset.py', 'coco', sample_data / 'coco', '--quick')
    first = tmp_path / 'symmim'
    run('train.py', CONFIGS / 'symmim_pretrain.py', '--work-dir', first,
        *options('symmim_pretrain', 'recipe.epochs=1', 'recipe.warmup_epochs=0',
                 'recipe.batch=8'))  # fmt: skip
    backbone = first / json.loads((first / 'result.json').read_text())['checkpoint']
    run('train.py', CONFIGS / 'finetune.py', '--work-dir', tmp_path / 'finetune', '--backbone',
        backbone, *options('finetune', 'recipe.epochs=1', 'recipe.warmup_epochs=0',
                           'recipe.batch=8', 'train_cfg.val_interval=1'))  # fmt: skip
    short = ['recipe.iterations=2', 'recipe.warmup_iterations=1', 'recipe.batch=2',
             'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2']  # fmt: skip
    run('train.py', CONFIGS / 'mask_rcnn.py', '--work-dir', tmp_path / 'detection', '--backbone',
        backbone, *options('mask_rcnn', *short))  # fmt: skip
    run('train.py', CONFIGS / 'upernet.py', '--work-dir', tmp_path / 'segmentation', '--backbone',
        backbone, *options('upernet', *short))  # fmt: skip
    run('test.py', CONFIGS / 'upernet.py', tmp_path / 'segmentation' / 'iter_2.pth', '--work-dir',
        tmp_path / 'test', *options('upernet'))  # fmt: skip
    for name in ('knn', 'linear'):
        run(f'{name}.py', CONFIGS / f'{name}.py', '--work-dir', tmp_path / name, '--backbone',
            backbone, *options(name))  # fmt: skip
    image = next((sample_data / 'imagenet' / 'val').rglob('*.png'))
    for kind in ('reconstruct', 'similarity'):
        run('visualize.py', kind, CONFIGS / 'symmim_pretrain.py', backbone, image, '--out',
            tmp_path / 'images')  # fmt: skip
    for form, out in (('timm', 'x.safetensors'), ('hf', 'hf'), ('onnx', 'x.onnx')):
        run('export_backbone.py', backbone, '--format', form, tmp_path / out, '--heads', '4')
    run('collect_results.py', tmp_path, '--out', tmp_path / 'report')
    run('run_suite.py', ROOT / 'configs' / 'suites' / 'quickstart.yaml', '--work-dir',
        tmp_path / 'suite', '--dry-run')  # fmt: skip
