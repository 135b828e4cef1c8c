"""Runs of several processes as a user starts them: they stay in step and count every image."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import torch
from paths import ROOT, SUPPORT
from processes import free_ports
from quickstart import data_options, write_config
from two_processes import two_processes

from symmim_mm.apis.test import test as evaluate
from symmim_mm.apis.train import train
from symmim_mm.checkpoint.read import read_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group('two_processes')]  # a fixture trains
LIMIT_S = 900

# An odd number of images: one of two ranks evaluates an image a second time, which must not count.
SEVEN = """
custom_imports = dict(imports=['weights_hook'])
custom_hooks = [dict(type='WeightsHook')]
train_dataloader = dict(num_workers=0)
val_dataloader = dict(dataset=dict(indices=7))
test_dataloader = dict(dataset=dict(indices=7))
"""
# Without augmentation, and with nothing random in the model, training depends on the number of
# processes through rounding alone.
CHANGES = dict(
    finetune="""
plain = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpretrain.CenterCrop', crop_size=64),
    dict(type='mmpretrain.PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=plain))
model = dict(backbone=dict(drop_path_rate=0.0))
recipe = dict(epochs=2, batch=8, lr=1e-3, lr_batch=8, warmup_epochs=0)
train_cfg = dict(val_interval=2)
""",
    # Every box counts, however unsure, so that there is a metric to compare after a few steps.
    mask_rcnn="""
recipe = dict(iterations=16, batch=4, warmup_iterations=4)
train_cfg = dict(val_interval=16)
default_hooks = dict(checkpoint=dict(interval=16))
model = dict(test_cfg=dict(rcnn=dict(score_thr=0.0)))
""",
    upernet="""
recipe = dict(iterations=8, batch=4, warmup_iterations=2, min_lr=1e-5)  # 0 would change nothing
train_cfg = dict(val_interval=8)
default_hooks = dict(checkpoint=dict(interval=8))
""",
)


LAST = dict(finetune='epoch_2.pth', mask_rcnn='iter_16.pth', upernet='iter_8.pth')
METRIC = dict(finetune='accuracy/top1', mask_rcnn='coco/bbox_mAP_50', upernet='mIoU')


def start(script: str, *words: str | Path, **settings: str) -> subprocess.Popen:
    """Start a script of ``tools/`` without waiting for it."""
    return subprocess.Popen(
        ['bash', f'tools/{script}', *map(str, words)], cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': SUPPORT, **settings},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> None:
    """Wait for the end of a command, which must be a good one."""
    output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, output[-3000:]


@pytest.fixture(scope='module')
def runs(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configs ``<task>.py``, runs of two processes in ``<task>``, tests in ``<task>-test``."""
    out = tmp_path_factory.mktemp('runs')
    paths = {name: write_config(out, name, sample_data, SEVEN, CHANGES[name]) for name in CHANGES}
    calls = [('train', dict(config=path, work_dir=out / name)) for name, path in paths.items()]
    for name in ('mask_rcnn', 'upernet'):
        options = dict(config=paths[name], checkpoint=out / name / LAST[name])
        calls.append(('test', dict(options, work_dir=out / f'{name}-test')))
    two_processes(*calls)
    arguments = (paths['finetune'], out / 'finetune' / LAST['finetune'], '2')
    finish(start('dist_test.sh', *arguments, '--work-dir', out / 'finetune-test'))
    return out


def notes(folder: Path, rank: int) -> list[dict]:
    return [json.loads(line) for line in (folder / f'rank{rank}.jsonl').read_text().splitlines()]


def metrics_of(folder: Path) -> dict:
    """Return the metrics that a test has written."""
    (file,) = (path for path in folder.glob('*/*.json') if re.fullmatch(r'\d+_\d+', path.stem))
    found = json.loads(file.read_text())
    return {key: value for key, value in found.items() if key not in ('data_time', 'time')}


@pytest.mark.parametrize('name', CHANGES)
def test_ranks_stay_in_step_and_their_metrics_are_those_of_one(
    name: str, runs: Path, tmp_path: Path
) -> None:
    ours, theirs = notes(runs / name, 0), notes(runs / name, 1)
    assert [note['weights'] for note in ours] == [note['weights'] for note in theirs]
    assert len({note['weights'] for note in ours}) == len(ours) >= 8
    # They got different images.
    assert all(one['loss'] != other['loss'] for one, other in zip(ours, theirs, strict=True))
    evaluate(runs / f'{name}.py', runs / name / LAST[name], work_dir=tmp_path)
    alone = metrics_of(tmp_path)
    assert metrics_of(runs / f'{name}-test') == alone and alone[METRIC[name]] > 0


def test_two_processes_train_to_the_weights_of_one(runs: Path, tmp_path: Path) -> None:
    train(runs / 'finetune.py', work_dir=tmp_path)
    record = json.loads((tmp_path / 'result.json').read_text())
    assert (record['method'], record['parent']) == ('random', None)
    assert_same_weights(tmp_path / LAST['finetune'], runs / 'finetune' / LAST['finetune'])


def assert_same_weights(first: Path, second: Path) -> None:
    one, two = (read_checkpoint(path)['state_dict'] for path in (first, second))
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-3, atol=1e-4, msg=key)
    assert any(not torch.equal(two[key], value) for key, value in one.items())


def test_two_launches_with_the_settings_of_two_nodes_are_one_job(
    sample_data: Path, tmp_path: Path
) -> None:
    options = [
        'configs/quickstart/mae_pretrain.py', '1', '--work-dir', tmp_path / 'run', '--cfg-options',
        *data_options('mae_pretrain', sample_data), 'recipe.epochs=1', 'recipe.warmup_epochs=0',
        'recipe.batch=8',
    ]  # fmt: skip
    (port,) = free_ports(1)
    settings = dict(NNODES='2', MASTER_ADDR='127.0.0.1', PORT=str(port))
    nodes = [start('dist_train.sh', *options, NODE_RANK=str(rank), **settings) for rank in (1, 0)]
    for node in nodes:
        finish(node)
    record = json.loads((tmp_path / 'run' / 'result.json').read_text())
    assert record['hardware']['world_size'] == 2
    assert record['images'] == 40
    assert (tmp_path / 'run' / record['checkpoint']).is_file()
