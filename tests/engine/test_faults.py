"""What the machine does to a run, in one line; loader workers that die, hang and are signalled."""

import errno
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from paths import ROOT, SUPPORT
from processes import wait_until
from toy_run import At, Deadly, Hanging, toy_runner

from symmim_mm.engine.faults import in_one_line, make_resumable, told_in_one_line
from symmim_mm.utils.errors import Fault, UserError


@pytest.mark.parametrize(
    ('error', 'kind', 'text'),
    [
        (OSError(errno.ENOSPC, 'No space left', 'x.pth'), Fault, 'No space left: x.pth: make room'),
        (FileNotFoundError(errno.ENOENT, 'No such file', 'x.jpg'), UserError, 'file: x.jpg'),
        (RuntimeError('DataLoader worker (pid 7) is killed'), Fault, 'pid 7.*num_workers'),
        (RuntimeError('[/gloo/x.cc:5] Connection closed by peer'), Fault, 'lost the others'),
        (torch.distributed.DistBackendError('NCCL error'), Fault, 'lost the others'),
        (RuntimeError('shapes do not fit'), RuntimeError, 'shapes'),
        (ValueError('another'), ValueError, 'another'),
    ],
)
def test_errors_of_the_machine(error: Exception, kind: type, text: str) -> None:
    found = in_one_line(error)
    assert type(found) is kind
    with pytest.raises(kind, match=text), told_in_one_line():
        raise error
    assert (found is error) == (kind is type(error))


def test_the_death_of_a_worker_behind_another_error() -> None:
    with pytest.raises(Fault, match='pid 7.* start it again$'), told_in_one_line('start it again'):
        try:
            raise RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. ')
        except RuntimeError as error:
            raise TypeError('unsupported callable') from error


def test_ours_stand_in_for_mmengines_parts_alone() -> None:
    cfg = Config(dict(train_cfg=dict(type='IterBasedTrainLoop'), optim_wrapper=dict()))
    make_resumable(cfg)
    assert cfg.train_cfg.type == 'symmim_mm.ResumableIterLoop'
    assert cfg.optim_wrapper.type == 'symmim_mm.GuardedOptimWrapper'
    cfg = Config(dict(train_cfg=dict(type='MyLoop'), optim_wrapper=dict(type='MyWrapper')))
    make_resumable(cfg)
    assert (cfg.train_cfg.type, cfg.optim_wrapper.type) == ('MyLoop', 'MyWrapper')


def test_a_worker_that_hangs_is_named(tmp_path: Path, sigchld) -> None:
    runner = toy_runner(tmp_path, epochs=3, workers=2, dataset=Hanging(), loader=dict(timeout=10))
    hangs = r'within 10 seconds: one of them hangs, at .*row7.png'
    with pytest.raises(Fault, match=hangs), told_in_one_line():
        runner.train()
    assert wait_until(lambda: not multiprocessing.active_children())


@pytest.mark.parametrize('length', [dict(epochs=3), dict(iterations=40)])
@pytest.mark.parametrize('name', ['SIGSEGV', 'SIGABRT', 'SIGKILL'])
def test_a_picture_that_kills_workers_is_named(
    tmp_path: Path, sigchld, length: dict, name: str
) -> None:
    runner = toy_runner(tmp_path, workers=2, dataset=Deadly(range(7, 8), name), **length)
    died = rf'a DataLoader worker was killed by {name}, reading row7.png; if one dies there again'
    with pytest.raises(Fault, match=died), told_in_one_line():
        runner.train()
    assert wait_until(lambda: not multiprocessing.active_children())


def test_workers_that_die_at_once_are_noticed(tmp_path: Path) -> None:
    """Also before torch looks after them, not at the end of the loader's timeout.

    In a process of its own, as torch does not forget workers that died while it started others.
    """
    program = (
        'import pathlib, sys\n'
        'from symmim_mm.engine.faults import told_in_one_line\n'
        'from toy_run import Deadly, toy_runner\n'
        "rows = Deadly(range(22), 'SIGKILL')\n"
        'with told_in_one_line():\n'
        '    toy_runner(pathlib.Path(sys.argv[1]), epochs=1, workers=8, dataset=rows,'
        '               loader=dict(timeout=900)).train()'
    )
    done = subprocess.run(
        [sys.executable, '-c', program, tmp_path], cwd=ROOT, capture_output=True,
        text=True, env={**os.environ, 'PYTHONPATH': SUPPORT}, timeout=300,
    )  # fmt: skip
    assert re.search(r'Fault: .*DataLoader worker .* killed .*, reading row', done.stderr)


def test_an_interrupt_stays_one_whatever_a_library_makes_of_it(monkeypatch) -> None:
    """A checkpoint holds its config as text, so that Ctrl-C often comes while it is written out."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', interrupted)
    with pytest.raises(KeyboardInterrupt), told_in_one_line():
        _ = Config(dict(a=1)).pretty_text


def worker_pids() -> list[int]:
    return [child.pid for child in multiprocessing.active_children()]


def test_a_worker_that_dies_is_noticed(tmp_path: Path, sigchld) -> None:
    def murder() -> None:
        os.kill(worker_pids()[0], signal.SIGKILL)

    runner = toy_runner(tmp_path, iterations=200, workers=2, hooks=(At(3, murder),))
    died = r'DataLoader worker .*(killed|exited).*continue with --resume'
    with pytest.raises(Fault, match=died), told_in_one_line():
        runner.train()


@pytest.mark.parametrize('made_of_it', [TypeError, None])
def test_a_worker_that_dies_is_noticed_whatever_a_library_makes_of_it(
    tmp_path: Path, sigchld, made_of_it: type | None
) -> None:
    """torch raises its error in the midst of any code, which may raise another one, or go on."""

    def murder() -> None:
        try:
            os.kill(worker_pids()[0], signal.SIGKILL)
            time.sleep(60)
        except RuntimeError as error:
            if made_of_it:
                raise made_of_it('unsupported callable') from error

    runner = toy_runner(tmp_path, iterations=200, workers=2, hooks=(At(3, murder),))
    died = 'worker was killed by SIGKILL[;,] .* continue with --resume'  # with what it read
    with pytest.raises(Fault, match=died), told_in_one_line():
        runner.train()
    assert runner.iter < 20


def test_workers_outlive_the_signals_of_a_scheduler(tmp_path: Path) -> None:
    """It sends them to every process of a job. One that is no parent of the workers sends here."""

    def signal_workers() -> None:
        for name in ('TERM', 'USR1'):
            for pid in worker_pids():
                os.system(f'kill -{name} {pid}')

    runner = toy_runner(tmp_path, iterations=30, workers=2, hooks=(At(3, signal_workers),))
    runner.train()
    assert runner.iter == 30
    # Their own process ends them all the same.
    for child in multiprocessing.active_children():
        child.terminate()
        child.join(20)
        assert child.exitcode == 0
