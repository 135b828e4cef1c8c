"""A run that is stopped anywhere and resumed ends with the weights of one that was not stopped."""

from pathlib import Path

import pytest
import torch
from toy_run import At, assert_same, final_state, toy_runner, train_with_stops

from symmim_mm.checkpoint.read import checkpoint_files, read_checkpoint
from symmim_mm.utils.errors import UserError


# 22 rows in batches of 4, the last one dropped: 5 iterations an epoch.
@pytest.mark.parametrize(
    ('stops', 'saved'),
    [
        ((2,), ['epoch_0_iter_3.pth']),
        ((4,), ['epoch_0_iter_5.pth']),
        ((5, 8, 13), ['epoch_1_iter_1.pth', 'epoch_1_iter_4.pth', 'epoch_2_iter_4.pth']),
    ],
)
def test_epochs(tmp_path: Path, stops, saved) -> None:
    toy_runner(tmp_path / 'whole', epochs=3).train()
    assert train_with_stops(tmp_path / 'broken', stops, 'SIGTERM', epochs=3) == saved
    assert_same(final_state(tmp_path / 'broken'), final_state(tmp_path / 'whole'))
    # Those saved within an epoch are not needed any more.
    left = ['epoch_2.pth', 'epoch_3.pth']
    assert [path.name for path in checkpoint_files(tmp_path / 'broken')] == left


@pytest.mark.parametrize('stops', [(0,), (3,), (6, 7, 12)])
def test_iterations(tmp_path: Path, stops) -> None:
    toy_runner(tmp_path / 'whole', iterations=14).train()
    saved = train_with_stops(tmp_path / 'broken', stops, 'SIGUSR1', iterations=14)
    assert saved == [f'iter_{stop + 1}.pth' for stop in stops]
    assert_same(final_state(tmp_path / 'broken'), final_state(tmp_path / 'whole'))


def test_never_stops_within_an_optimizer_step(tmp_path: Path) -> None:
    """5 iterations an epoch and 2 to a step: the fifth is left out, stops wait for the second."""
    toy_runner(tmp_path / 'whole', epochs=3, accumulation=2).train()
    run = dict(epochs=3, accumulation=2)
    saved = train_with_stops(tmp_path / 'broken', (0, 5), 'SIGTERM', **run)
    assert saved == ['epoch_0_iter_2.pth', 'epoch_1_iter_2.pth']
    assert_same(final_state(tmp_path / 'broken'), final_state(tmp_path / 'whole'))


@pytest.mark.parametrize(
    'optimizer',
    [
        dict(type='AdamW', fused=True),
        dict(type='SGD'),
        dict(type='SGD', momentum=0.9),
        dict(type='mmpretrain.LARS', momentum=0.9),
        dict(type='mmpretrain.Lamb'),
    ],
    ids=str,
)
def test_optimizers(tmp_path: Path, optimizer: dict) -> None:
    """Each has another state, or none, which must be accepted as its own."""
    run = dict(epochs=2, optimizer=dict(optimizer, lr=0.01))
    toy_runner(tmp_path / 'whole', **run).train()
    train_with_stops(tmp_path / 'broken', (6,), 'SIGTERM', **run)
    assert_same(final_state(tmp_path / 'broken'), final_state(tmp_path / 'whole'))


def test_averaged_weights(tmp_path: Path) -> None:
    """What training from scratch saves: the average over steps; the trained weights go on."""
    run = dict(
        iterations=14,
        accumulation=2,
        extra=dict(ema=dict(type='EMAHook', momentum=0.1, interval=2)),
    )
    weights = []
    watch = At(0, lambda: None)
    watch.after_train_iter = lambda runner, *_, **__: weights.append(
        runner.model.head.weight.detach().clone()
    )
    toy_runner(tmp_path / 'whole', hooks=(watch,), **run).train()
    whole = read_checkpoint(tmp_path / 'whole' / 'iter_14.pth')
    # Steps end with every second iteration, and are averaged in the one after.
    average = weights[0]
    for step in weights[1:-1:2]:
        average = average + 0.1 * (step - average)
    torch.testing.assert_close(whole['state_dict']['head.weight'], average)
    torch.testing.assert_close(whole['ema_state_dict']['module.head.weight'], weights[-1])

    train_with_stops(tmp_path / 'broken', (3, 8), 'SIGTERM', **run)
    broken = read_checkpoint(tmp_path / 'broken' / 'iter_14.pth')
    for key in ('state_dict', 'ema_state_dict', 'optimizer'):
        assert_same(broken[key], whole[key])


@pytest.mark.slow
@pytest.mark.parametrize('length', [dict(epochs=3), dict(iterations=14)])
def test_loader_workers_make_no_difference(tmp_path: Path, length) -> None:
    toy_runner(tmp_path / 'none', **length).train()
    toy_runner(tmp_path / 'two', workers=2, **length).train()
    train_with_stops(tmp_path / 'three', (6,), 'SIGTERM', workers=3, **length)
    expected = final_state(tmp_path / 'none')
    assert_same(final_state(tmp_path / 'two'), expected)
    assert_same(final_state(tmp_path / 'three'), expected)


def test_another_batch_is_refused(tmp_path: Path) -> None:
    toy_runner(tmp_path, epochs=1).train()
    with pytest.raises(UserError, match='1 iterations in an optimizer step, not 2'):
        toy_runner(tmp_path, epochs=2, accumulation=2, resume=True).train()


def test_a_restarted_process_resumes(tmp_path: Path, monkeypatch) -> None:
    toy_runner(tmp_path, epochs=1).train()
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '1')
    runner = toy_runner(tmp_path, epochs=2)
    assert runner._resume and runner._load_from.endswith('epoch_1.pth')
