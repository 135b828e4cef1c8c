"""Runs that are followed: every tracker gets scalars and images, and the training is the same."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from quickstart import write_config

from symmim_mm.apis.train import train
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.engine import tracking
from symmim_mm.utils.errors import UserError

EPOCH = 'recipe = dict(epochs=1, batch=8, warmup_epochs=0)'


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
    file = next(work.rglob('run-*.wandb'))
    content = file.read_bytes()
    known = ('loss', 'health/rank')
    names = {path.name.partition('_held')[0] for path in work.rglob('media/images/held_out_*')}
    return {name for name in known if name.encode() in content}, {name: [] for name in names}


@pytest.mark.slow
@pytest.mark.parametrize('name', tracking.TRACKERS)
def test_followed_run(
    name: str, sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """wandb and mlflow where they are installed (extra ``track``)."""
    pytest.importorskip(name)
    for variable in (*tracking.STAY_LOCAL, 'MLFLOW_TRACKING_URI'):
        monkeypatch.delenv(variable, raising=False)
    trained = []
    for track in ((), (name,)):
        folder = tmp_path / str(len(track))
        folder.mkdir()
        config = write_config(folder, 'symmim_pretrain', sample_data, EPOCH)
        train(config, work_dir=folder / 'work', track=track)
        trained.append(read_checkpoint(folder / 'work/epoch_1.pth')['state_dict'])
    assert all(torch.equal(value, trained[1][key]) for key, value in trained[0].items())
    scalars, images = globals()[f'seen_by_{name}'](tmp_path / '1/work')
    assert {'loss', 'health/rank'} <= scalars
    assert len(images) >= 2
    if name == 'tensorboard':
        assert images['held_out_0'] == [1, 2, 3, 4, 5]
    assert not list((tmp_path / '0/work').rglob('held_out_*'))


def test_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Config(dict(work_dir='w'))
    with pytest.raises(UserError, match="among tensorboard, wandb, mlflow, got 'aim'"):
        tracking.use_trackers(cfg, ['aim'])
    monkeypatch.setattr(tracking, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='needs a package: pip install wandb'):
        tracking.use_trackers(cfg, ['wandb'])


def test_wandb_stays_offline_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(tracking, 'find_spec', lambda name: object())
    monkeypatch.setenv('WANDB_MODE', 'x')  # so that pytest restores it
    monkeypatch.delenv('WANDB_MODE')
    tracking.use_trackers(Config(dict(work_dir='w')), ['wandb'])
    assert os.environ['WANDB_MODE'] == 'offline'
    monkeypatch.setenv('WANDB_MODE', 'online')
    tracking.use_trackers(Config(dict(work_dir='w')), ['wandb'])
    assert os.environ['WANDB_MODE'] == 'online'
