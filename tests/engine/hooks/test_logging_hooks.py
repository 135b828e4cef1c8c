"""Logging: as much history as may be asked for, no waiting for a GPU, one writer of metrics."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.runner import LogProcessor, Runner
from toy_run import SIZE, Numbers, assert_same, final_state, toy_runner

from symmim_mm.checkpoint.read import checkpoint_files, read_checkpoint
from symmim_mm.engine.hooks import logging_hooks

EPOCHS = 3
STEPS = SIZE // 4  # of an epoch
VALIDATION = -(-SIZE // 4)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging_hooks, 'LEAST_HISTORY', 2)


def run(work_dir: Path, kind: str = 'symmim_mm.AsyncRuntimeInfoHook', **options) -> Runner:
    runner = toy_runner(
        work_dir, validation=Numbers(fixed=True), extra=dict(runtime_info=dict(type=kind)),
        **(dict(epochs=EPOCHS) | options),
    )  # fmt: skip
    runner.log_processor.window_size = 3
    return runner


def history(runner: Runner, name: str) -> list[float]:
    return runner.message_hub.log_scalars[name].data[0].tolist()


def test_histories_are_the_ends_of_those_of_mmengine(tmp_path: Path) -> None:
    ours, theirs = run(tmp_path / 'ours'), run(tmp_path / 'theirs', 'RuntimeInfoHook')
    ours.train()
    theirs.train()
    assert len(history(theirs, 'train/loss')) == EPOCHS * STEPS
    assert history(ours, 'train/loss') == history(theirs, 'train/loss')[-STEPS:]
    assert len(history(theirs, 'val/time')) == EPOCHS * VALIDATION
    assert len(history(ours, 'val/time')) == VALIDATION
    for runner in (ours, theirs):  # what the log said of the last epoch
        assert runner.message_hub.get_scalar('train/loss').mean(3) == pytest.approx(
            sum(history(theirs, 'train/loss')[-3:]) / 3
        )
    saved = read_checkpoint(checkpoint_files(tmp_path / 'ours')[-1])['message_hub']['log_scalars']
    assert len(saved['train/loss'].data[0]) == STEPS


def test_a_resumed_run_keeps_no_more(tmp_path: Path) -> None:
    run(tmp_path / 'whole').train()
    run(tmp_path / 'broken', epochs=EPOCHS - 2).train()
    again = run(tmp_path / 'broken', resume=True)
    again.train()
    assert len(history(again, 'train/loss')) == STEPS
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
def test_windows_of_the_log_are_kept(
    tmp_path: Path, change: Callable[[LogProcessor], None], kept: int
) -> None:
    runner = run(tmp_path)
    change(runner.log_processor)
    for one in runner.log_processor.custom_cfg:
        one |= dict(data_src='loss', method_name='mean', log_name='mean_loss')
    runner.train()
    assert len(history(runner, 'train/loss')) == kept


@pytest.mark.parametrize('rank', [0, 1])
def test_one_process_writes_the_metrics_of_a_test(rank: int, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: rank)
    hub = MessageHub.get_instance(f'metrics_{rank}')
    hub.update_scalar('test/mIoU', 12.5)
    runner = SimpleNamespace(
        log_dir=str(tmp_path),
        log_processor=LogProcessor(by_epoch=False),
        logger=MMLogger.get_instance(f'metrics_{rank}'),
        message_hub=hub,
        test_dataloader=range(3),
        test_loop=SimpleNamespace(dataloader=range(3)),
    )
    hook = logging_hooks.SafeLoggerHook()
    hook.json_log_path = 'metrics.json'
    hook.after_test_epoch(runner)
    files = list(tmp_path.iterdir())
    assert len(files) == (rank == 0)
    assert all(json.loads(file.read_text())['mIoU'] == 12.5 for file in files)


def test_a_full_disk_does_not_fill_the_console(tmp_path: Path, capsys) -> None:
    """``logging`` prints a traceback for every line that a handler cannot write."""
    runner = toy_runner(tmp_path, epochs=1)
    handler = logging.FileHandler('/dev/full')
    runner.logger.addHandler(handler)
    runner.logger.error('a line')
    assert 'No space left' in capsys.readouterr().err
    runner.call_hook('before_run')
    capsys.readouterr()
    runner.logger.error('another line')
    runner.logger.removeHandler(handler)
    assert 'No space left' not in capsys.readouterr().err
