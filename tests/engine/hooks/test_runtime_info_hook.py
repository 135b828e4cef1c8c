"""Of what is logged only as much is kept as somebody may ask for."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.runner import Runner
from toy_run import SIZE, Rows, assert_same, final_state, toy_runner

from symmim_mm.checkpoint.read import checkpoint_files, read_checkpoint
from symmim_mm.engine.hooks import runtime_info_hook

EPOCHS = 3
STEPS = SIZE // 4  # an epoch's
VALIDATION = -(-SIZE // 4)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_info_hook, 'LEAST_HISTORY', 2)


def trained(work_dir: Path, kind: str = 'symmim_mm.LateRuntimeInfoHook', **options) -> Runner:
    runner = toy_runner(
        work_dir, validation=Rows(), extra=dict(runtime_info=dict(type=kind)),
        **(dict(epochs=EPOCHS) | options),
    )  # fmt: skip
    runner.log_processor.window_size = 3
    return runner


def histories(runner: Runner, name: str) -> list[float]:
    return runner.message_hub.log_scalars[name].data[0].tolist()


def test_what_is_kept_is_the_end_of_what_mmengine_keeps(tmp_path: Path) -> None:
    ours, theirs = trained(tmp_path / 'ours'), trained(tmp_path / 'theirs', 'RuntimeInfoHook')
    ours.train()
    theirs.train()
    assert len(histories(theirs, 'train/loss')) == EPOCHS * STEPS
    assert histories(ours, 'train/loss') == histories(theirs, 'train/loss')[-STEPS:]
    assert len(histories(theirs, 'val/time')) == EPOCHS * VALIDATION
    assert len(histories(ours, 'val/time')) == VALIDATION
    for runner in (ours, theirs):  # what the log said of the last epoch
        assert runner.message_hub.get_scalar('train/loss').mean(3) == pytest.approx(
            sum(histories(theirs, 'train/loss')[-3:]) / 3
        )
    saved = read_checkpoint(checkpoint_files(tmp_path / 'ours')[-1])['message_hub']['log_scalars']
    assert len(saved['train/loss'].data[0]) == STEPS


def test_a_resumed_run_keeps_no_more(tmp_path: Path) -> None:
    trained(tmp_path / 'whole').train()
    trained(tmp_path / 'broken', epochs=EPOCHS - 2).train()
    again = trained(tmp_path / 'broken', resume=True)
    again.train()
    assert len(histories(again, 'train/loss')) == STEPS
    assert_same(final_state(tmp_path / 'broken'), final_state(tmp_path / 'whole'))


@pytest.mark.parametrize(
    ('change', 'kept'),
    [
        (lambda processor: setattr(processor, 'window_size', STEPS + 2), STEPS + 2),
        (lambda processor: processor.custom_cfg.append(dict(window_size=STEPS + 3)), STEPS + 3),
        (lambda processor: processor.custom_cfg.append(dict(window_size='epoch')), STEPS),
        (lambda processor: processor.custom_cfg.append(dict(window_size='global')), EPOCHS * STEPS),
        (lambda processor: processor.custom_cfg.append(dict(log_name='a')), STEPS),
    ],
)
def test_the_windows_of_the_log_are_kept(
    tmp_path: Path, change: Callable[[object], None], kept: int
) -> None:
    runner = trained(tmp_path)
    change(runner.log_processor)
    for one in runner.log_processor.custom_cfg:
        one |= dict(data_src='loss', method_name='mean', log_name='mean_loss')
    runner.train()
    assert len(histories(runner, 'train/loss')) == kept
