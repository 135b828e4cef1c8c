"""Runs that are watched: health, images and trackers change nothing of the training."""

import errno
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from quickstart import write_config
from torch import nn

from symmim_mm.apis.train import train
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.engine import tracking
from symmim_mm.engine.hooks import health_hook
from symmim_mm.engine.hooks.health_hook import HealthHook
from symmim_mm.engine.hooks.images_hook import ImagesHook
from symmim_mm.results.record import FILE_NAME, Record
from symmim_mm.utils.errors import UserError

EPOCH = 'recipe = dict(epochs=1, batch=8, warmup_epochs=0)\n'


def trained(folder: Path, data: Path, changes: str = '', track: tuple[str, ...] = ()) -> Path:
    train(
        write_config(folder, 'symmim_pretrain', data, EPOCH + changes),
        work_dir=folder / 'work',
        track=track,
    )
    return folder / 'work'


@pytest.fixture(scope='module')
def alone(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose health is not measured, and which no tracker follows."""
    return trained(
        tmp_path_factory.mktemp('alone'), sample_data, 'default_hooks = dict(health=None)'
    )


def seen_by_tensorboard(work: Path) -> tuple[set[str], dict[str, list[int]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    file = next(work.rglob('events.out.tfevents.*'))
    events = EventAccumulator(str(file), size_guidance=dict(images=0)).Reload()
    images = {name: [e.step for e in events.Images(name)] for name in events.Tags()['images']}
    return set(events.Tags()['scalars']), images


def seen_by_mlflow(work: Path) -> tuple[set[str], dict[str, list[int]]]:
    scalars = {path.name for path in work.rglob('metrics/*') if path.is_file()}
    scalars |= {f'health/{path.name}' for path in work.rglob('metrics/health/*')}
    names = [path.name for path in work.rglob('artifacts/images/held_out_*')]
    return scalars, {name: [] for name in names}


def seen_by_wandb(work: Path) -> tuple[set[str], dict[str, list[int]]]:
    content = next(work.rglob('run-*.wandb')).read_bytes()
    names = {path.name.partition('_held')[0] for path in work.rglob('media/images/held_out_*')}
    scalars = {name for name in ('loss', 'health/rank') if name.encode() in content}
    return scalars, {name: [] for name in names}


@pytest.mark.slow
@pytest.mark.parametrize('name', tracking.TRACKERS)
def test_watched_or_not_the_training_is_the_same(
    name: str, alone: Path, sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wandb and mlflow where they are installed (extra ``track``)."""
    pytest.importorskip(name)
    for variable in (*tracking.STAY_LOCAL, 'MLFLOW_TRACKING_URI'):
        monkeypatch.delenv(variable, raising=False)
    health = 'default_hooks = dict(health=dict(images=6, share=1.0))'
    work = trained(tmp_path, sample_data, health, (name,))
    states = [read_checkpoint(run / 'epoch_1.pth')['state_dict'] for run in (work, alone)]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())

    scalars, images = globals()[f'seen_by_{name}'](work)
    assert {'loss', 'health/rank'} <= scalars and len(images) >= 2
    if name == 'tensorboard':
        assert images['held_out_0'] == [1, 2, 3, 4, 5]
    lines = map(json.loads, (work / 'curve.jsonl').read_text().splitlines())
    ranks = {line['step']: line['health/rank'] for line in lines if 'health/rank' in line}
    assert {0, 5} <= ranks.keys()  # before the first step and after the last one
    assert all(1 <= rank <= 6 for rank in ranks.values())


@pytest.mark.slow
def test_a_run_that_nobody_watches(alone: Path) -> None:
    """It draws its held-out images at the end alone."""
    assert 'health/' not in (alone / 'curve.jsonl').read_text()
    assert not list(alone.rglob('held_out_*'))
    assert len(Record.read(alone / FILE_NAME).figures) == len(list(alone.glob('images/*.png'))) == 6


@pytest.mark.slow
def test_a_run_without_reconstructions_ends_all_the_same(sample_data: Path, tmp_path: Path) -> None:
    work = trained(tmp_path, sample_data, 'model = dict(mim_weight=0.0)')
    assert not Record.read(work / FILE_NAME).figures and not list(work.glob('images/*.png'))


@pytest.mark.slow
def test_the_detections_of_a_transfer_are_followed(sample_data: Path, tmp_path: Path) -> None:
    """Its hook is one of the config's own, not among the default ones."""
    changes = 'recipe = dict(batch=2, iterations=2, warmup_iterations=1)\n'
    changes += 'train_cfg = dict(val_interval=2)\n'
    config = write_config(tmp_path, 'mask_rcnn', sample_data, changes)
    train(config, work_dir=tmp_path / 'work', track=['tensorboard'])
    assert seen_by_tensorboard(tmp_path / 'work')[1]['held_out_0'] == [1, 2]


class FullDisk:
    """In place of a visualizer: it notes the steps that it is to write, and writes nothing."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def add(self, name: str, value: object, step: int) -> None:
        self.steps.append(step)
        raise OSError(errno.ENOSPC, 'No space left on device')

    add_image = add_scalar = add


def watched(work_dir: Path) -> SimpleNamespace:
    return SimpleNamespace(
        iter=0, max_iters=2, seed=0, model=nn.Identity(), work_dir=str(work_dir),
        visualizer=FullDisk(), logger=logging.getLogger('watched'),
    )  # fmt: skip


@pytest.mark.parametrize(('share', 'steps'), [(1.0, [0, 1, 2, 2]), (0.0, [0, 2])])
def test_health_is_that_after_a_step_and_may_find_the_disk_full(
    share: float, steps: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    monkeypatch.setattr(health_hook, 'measure_health', lambda *_: dict(rank=2.0))
    runner, hook = watched(tmp_path), HealthHook(share=share)
    hook.before_train(runner)
    for runner.iter in range(2):
        hook.before_train_iter(runner, runner.iter, dict(inputs=torch.zeros(2, 3)))
        hook.after_train_iter(runner)
    runner.iter = 2
    hook.after_train(runner)
    assert runner.visualizer.steps == steps
    assert caplog.text.count('health is not written: [Errno 28]') == len(steps)


def test_images_may_find_the_disk_full(tmp_path: Path, caplog) -> None:
    runner, hook = watched(tmp_path), ImagesHook('detection', while_training=True)
    hook.held_out, hook.draw = [0], lambda *_: np.zeros((8, 8, 3), np.uint8)
    hook.after_train_iter(runner)
    assert runner.visualizer.steps == [1] and runner.model.training
    assert 'held-out images are not drawn: [Errno 28]' in caplog.text


def test_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Config(dict(work_dir='w'))
    with pytest.raises(UserError, match="among tensorboard, wandb, mlflow, got 'aim'"):
        tracking.use_trackers(cfg, ['aim'])
    monkeypatch.setattr(tracking, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='needs a package: pip install wandb'):
        tracking.use_trackers(cfg, ['wandb'])


@pytest.mark.parametrize('asked', [None, 'online'])
def test_wandb_stays_offline_unless_asked(monkeypatch: pytest.MonkeyPatch, asked) -> None:
    monkeypatch.setattr(tracking, 'find_spec', lambda name: object())
    environment = {} if asked is None else dict(WANDB_MODE=asked)
    monkeypatch.setattr(tracking.os, 'environ', environment)
    tracking.use_trackers(Config(dict(work_dir='w')), ['wandb'])
    assert environment['WANDB_MODE'] == (asked or 'offline')
