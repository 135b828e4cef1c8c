"""Checkpoints: which are kept, and what happens when one cannot be written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT, SUPPORT
from toy_run import At, toy_runner

from symmim_mm.checkpoint.read import checkpoint_files, read_checkpoint
from symmim_mm.engine.hooks.checkpoint_hook import FIXED, SafeCheckpointHook
from symmim_mm.engine.hooks.preemption_hook import PreemptionHook
from symmim_mm.utils.errors import Fault, UserError

EPOCHS = ['epoch_1.pth', 'epoch_2.pth', 'epoch_2_iter_5.pth', 'epoch_3.pth']


@pytest.mark.parametrize(
    ('newest', 'keep', 'expected'),
    [
        ('epoch_3.pth', 2, ['epoch_2.pth', 'epoch_3.pth']),
        ('epoch_3.pth', 1, ['epoch_3.pth']),
        ('epoch_3.pth', -1, ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth']),
        # One within an epoch does not displace those of whole epochs. Later ones stay: they are
        # broken ones that the run skipped, and will be written again.
        ('epoch_2_iter_5.pth', 2, EPOCHS),
        ('epoch_2_iter_5.pth', 1, EPOCHS[1:]),
    ],
)
def test_which_are_kept(newest: str, keep: int, expected: list[str], tmp_path: Path) -> None:
    for name in EPOCHS:
        (tmp_path / name).touch()
    SafeCheckpointHook(max_keep_ckpts=keep)._remove_older(None, tmp_path / newest)
    assert [path.name for path in checkpoint_files(tmp_path)] == expected


def test_saved_ones_are_whole(tmp_path: Path) -> None:
    toy_runner(tmp_path, iterations=9).train()
    files = checkpoint_files(tmp_path)
    assert [path.name for path in files] == ['iter_8.pth', 'iter_9.pth']
    assert [read_checkpoint(path)['meta']['iter'] for path in files] == [8, 9]
    assert (tmp_path / 'last_checkpoint').read_text() == str(files[-1])


def test_saved_between_optimizer_steps_only(tmp_path: Path) -> None:
    toy_runner(
        tmp_path, iterations=9, accumulation=3, checkpoint=dict(interval=4, max_keep_ckpts=9)
    ).train()
    assert [path.name for path in checkpoint_files(tmp_path)] == ['iter_6.pth', 'iter_9.pth']


def obstruct(work_dir: Path, name: str) -> Path:
    """Put a folder at a checkpoint's path, over which no file can be renamed, even by root."""
    folder = work_dir / name
    folder.mkdir()
    (folder / 'occupied').touch()
    return folder


def test_training_continues_without_a_checkpoint_unless_it_is_the_last(tmp_path: Path) -> None:
    runner = toy_runner(tmp_path, iterations=9)
    folder = obstruct(tmp_path, 'iter_4.pth')
    runner.train()
    hook = next(hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook))
    assert hook.failures == 1
    assert folder.is_dir() and not list(tmp_path.glob('.*'))

    other = tmp_path / 'other'
    runner = toy_runner(other, iterations=9, hooks=(At(1, lambda: obstruct(other, 'iter_9.pth')),))
    with pytest.raises(Fault, match='the last checkpoint of the run could not be written'):
        runner.train()
    assert [path.name for path in checkpoint_files(other)] == ['iter_4.pth', 'iter_8.pth']


def test_a_stop_that_cannot_be_saved_says_so(tmp_path: Path) -> None:
    def stop() -> None:
        obstruct(tmp_path, 'iter_6.pth')
        signal.raise_signal(signal.SIGTERM)

    runner = toy_runner(tmp_path, iterations=9, hooks=(At(5, stop),))
    with pytest.raises(SystemExit):
        runner.train()
    next(hook for hook in runner.hooks if isinstance(hook, PreemptionHook)).after_run(runner)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'after iteration 6 (SIGTERM), which could not be saved' in log
    assert '--resume continues from the newest checkpoint' in log


@pytest.mark.parametrize('name', FIXED)
def test_options_that_would_hide_a_checkpoint_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=f'checkpoint.{name} cannot be set: '):
        SafeCheckpointHook(**{name: 'x'})


INTERRUPTED = """
import argparse, pathlib, signal
from torch.serialization import _open_zipfile_writer_buffer as Writer
from symmim_mm.cli import run
from toy_run import toy_runner

written = Writer.__exit__
def interrupted(writer, *error):
    signal.raise_signal(signal.SIGINT)
    written(writer, *error)
Writer.__exit__ = interrupted

parser = argparse.ArgumentParser()
parser.add_argument('work_dir', type=pathlib.Path)
run(lambda args: toy_runner(args.work_dir, iterations=9).train(), lambda: parser)
"""


def test_an_interrupt_waits_until_a_checkpoint_is_written(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, '-c', INTERRUPTED, tmp_path], cwd=ROOT,
        capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': SUPPORT},
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    assert done.stderr.endswith('interrupted\n') and 'Traceback' not in done.stderr
    (saved,) = checkpoint_files(tmp_path)
    assert saved.name == 'iter_4.pth' and read_checkpoint(saved)['meta']['iter'] == 4
    assert (tmp_path / 'last_checkpoint').read_text() == str(saved)
