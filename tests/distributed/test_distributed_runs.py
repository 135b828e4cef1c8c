"""Runs of several processes as a user starts them: they stay in step and count every image."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from paths import ROOT
from processes import free_ports

from symmim_mm.checkpoint.read import read_checkpoint

pytestmark = pytest.mark.slow
LIMIT_S = 900

# Writes, after every iteration, a hash of this rank's weights and the loss on its own images.
WEIGHTS_HOOK = """
import hashlib, json
from pathlib import Path
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class WeightsHook(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        digest = hashlib.sha256()
        for parameter in runner.model.parameters():
            digest.update(parameter.detach().numpy().tobytes())
        note = dict(weights=digest.hexdigest(), loss=float(outputs['loss']))
        with open(Path(runner.work_dir, f'rank{get_rank()}.jsonl'), 'a') as file:
            file.write(json.dumps(note) + '\\n')
"""
DATA = dict(finetune='imagenet', mask_rcnn='coco', upernet='ade20k')
# An odd number of images: one of two ranks evaluates an image a second time, which must not count.
# Without augmentation, and with nothing random in the model, training depends on the number of
# processes through rounding alone.
CHANGES = dict(
    finetune="""
plain = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpretrain.CenterCrop', crop_size=64),
    dict(type='mmpretrain.PackInputs'),
]
train_dataloader['dataset']['pipeline'] = plain
model = dict(backbone=dict(drop_path_rate=0.0))
recipe = dict(epochs=2, batch=8, lr=1e-3, lr_batch=8, warmup_epochs=0)
train_cfg = dict(val_interval=2)
""",
    mask_rcnn="""
recipe = dict(iterations=60, batch=4, warmup_iterations=10)
train_cfg = dict(val_interval=60)
default_hooks = dict(checkpoint=dict(interval=60))
val_evaluator = dict(ann_file=DATA + '/annotations/instances_val2017.json')
test_evaluator = val_evaluator
""",
    upernet="""
recipe = dict(iterations=8, batch=4, warmup_iterations=2, min_lr=1e-5)  # 0 would change nothing
train_cfg = dict(val_interval=8)
default_hooks = dict(checkpoint=dict(interval=8))
""",
)


@pytest.fixture
def start(tmp_path: Path):
    """Start a command of ``tools/`` without waiting for it."""

    def call(*words: str | Path, **settings: str) -> subprocess.Popen:
        command = ['bash' if str(words[0]).endswith('.sh') else sys.executable]
        path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get('PYTHONPATH')]))
        return subprocess.Popen(
            [*command, f'tools/{words[0]}', *map(str, words[1:])],
            cwd=ROOT,
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': path, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return call


@pytest.fixture
def run(start):
    """Run such a command to its end, which must be a good one; return its output."""

    def call(*words: str | Path, **settings: str) -> str:
        process = start(*words, **settings)
        output, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, output[-3000:]
        return output

    return call


@pytest.fixture
def config(tmp_path: Path, sample_data: Path):
    """A config that inherits one of the quickstart's, with the hook above."""

    def write(name: str) -> Path:
        (tmp_path / 'weights_hook.py').write_text(WEIGHTS_HOOK)
        data = f'{sample_data / DATA[name]}'
        seven = f"dict(dataset=dict(data_root='{data}', indices=7))"
        lines = [
            f"_base_ = ['{ROOT}/configs/quickstart/{name}.py']",
            "custom_imports = dict(imports=['weights_hook'])",
            "custom_hooks = [dict(type='WeightsHook')]",
            f"train_dataloader = dict(num_workers=0, dataset=dict(data_root='{data}'))",
            f'val_dataloader = {seven}',
            f'test_dataloader = {seven}',
            CHANGES[name].replace('DATA', repr(data)),
        ]
        path = tmp_path / f'{name}.py'
        path.write_text('\n'.join(lines))
        return path

    return write


def notes(folder: Path, rank: int) -> list[dict]:
    return [json.loads(line) for line in (folder / f'rank{rank}.jsonl').read_text().splitlines()]


def last_checkpoint(folder: Path) -> Path:
    return folder / json.loads((folder / 'result.json').read_text())['checkpoint']


def metrics_of(folder: Path) -> dict:
    """Return the metrics that a test has written."""
    (file,) = (path for path in folder.glob('*/*.json') if re.fullmatch(r'\d+_\d+', path.stem))
    return json.loads(file.read_text())


@pytest.mark.parametrize('name', DATA)
def test_ranks_stay_in_step_and_their_metrics_are_those_of_one(
    name: str, config, run, tmp_path: Path
) -> None:
    path, folder = config(name), tmp_path / 'two'
    run('dist_train.sh', path, '2', '--work-dir', folder)
    ours, theirs = notes(folder, 0), notes(folder, 1)
    assert [note['weights'] for note in ours] == [note['weights'] for note in theirs]
    assert len({note['weights'] for note in ours}) == len(ours) >= 8
    # They got different images.
    assert all(one['loss'] != other['loss'] for one, other in zip(ours, theirs, strict=True))

    checkpoint = last_checkpoint(folder)
    run('test.py', path, checkpoint, '--work-dir', tmp_path / 'test1')
    run('dist_test.sh', path, checkpoint, '2', '--work-dir', tmp_path / 'test2')
    alone, together = metrics_of(tmp_path / 'test1'), metrics_of(tmp_path / 'test2')
    for found in (alone, together):
        for key in ('data_time', 'time'):
            found.pop(key)
    assert together == alone
    key = dict(finetune='accuracy/top1', mask_rcnn='coco/bbox_mAP_50', upernet='mIoU')[name]
    assert alone[key] > 0

    if name == 'finetune':
        run('train.py', path, '--work-dir', tmp_path / 'one')
        assert_same_weights(last_checkpoint(tmp_path / 'one'), checkpoint)


def assert_same_weights(first: Path, second: Path) -> None:
    one, two = (read_checkpoint(path)['state_dict'] for path in (first, second))
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-3, atol=1e-4, msg=key)
    assert any(not torch.equal(two[key], value) for key, value in one.items())


def test_two_launches_with_the_settings_of_two_nodes_are_one_job(
    start, sample_data: Path, tmp_path: Path
) -> None:
    root = sample_data / 'imagenet'
    options = [
        'configs/quickstart/mae_pretrain.py', '1', '--work-dir', tmp_path / 'run', '--cfg-options',
        f'train_dataloader.dataset.data_root={root}', 'recipe.epochs=1', 'recipe.warmup_epochs=0',
        f'default_hooks.images.dataset.data_root={root}', 'recipe.batch=8',
    ]  # fmt: skip
    (port,) = free_ports(1)
    settings = dict(NNODES='2', MASTER_ADDR='127.0.0.1', PORT=str(port))
    nodes = [start('dist_train.sh', *options, NODE_RANK=str(rank), **settings) for rank in (1, 0)]
    for node in nodes:
        output, _ = node.communicate(timeout=LIMIT_S)
        assert node.returncode == 0, output[-3000:]
    record = json.loads((tmp_path / 'run' / 'result.json').read_text())
    assert record['hardware']['world_size'] == 2
    assert record['images'] == 40
    assert (tmp_path / 'run' / record['checkpoint']).is_file()
