"""Faults of the machine in one line; loader workers that die, hang and are signaled."""

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
from toy_run import At, Numbers, toy_runner

from symmim_mm.engine.faults import as_one_line, report_faults
from symmim_mm.utils.errors import Fault, UserError

pytestmark = pytest.mark.usefixtures('sigchld')
DEAD = 'DataLoader worker (pid 7) is killed by signal: Killed. '
FULL_GPU = (
    'CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 139.80 GiB of '
    'which 15 MiB is free. Including non-PyTorch memory, this process has 139 GiB in use.'
)


def caused_by(cause: Exception) -> Exception:
    error = TypeError('unsupported callable')
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ('error', 'kind', 'text'),
    [
        (OSError(errno.ENOSPC, 'No space left', 'x.pth'), Fault, 'No space left: x.pth: make room'),
        (FileNotFoundError(errno.ENOENT, 'No such file', 'x.jpg'), UserError, 'file: x.jpg'),
        (RuntimeError(DEAD), Fault, 'pid 7.*num_workers help; start it again$'),
        (caused_by(RuntimeError(DEAD)), Fault, 'pid 7'),
        (RuntimeError('[/gloo/x.cc:5] Connection closed by peer'), Fault, 'lost the others'),
        (torch.distributed.DistBackendError('NCCL error'), Fault, 'lost the others'),
        (torch.OutOfMemoryError(FULL_GPU), UserError, r'15 MiB is free\. Take fewer images'),
        (RuntimeError('shapes do not fit'), RuntimeError, 'shapes'),
        (ValueError('another'), ValueError, 'another'),
    ],
)
def test_errors_of_the_machine(error: Exception, kind: type, text: str) -> None:
    found = as_one_line(error)
    assert type(found) is kind
    with pytest.raises(kind, match=text), report_faults('start it again'):
        raise error
    assert (found is error) == (kind is type(error))


def test_an_interrupt_that_a_library_wraps_stays_one(monkeypatch) -> None:
    """A checkpoint holds its config as text, so that Ctrl-C often comes while it is formatted."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', interrupted)
    with pytest.raises(KeyboardInterrupt), report_faults():
        _ = Config(dict(a=1)).pretty_text


@pytest.mark.parametrize('length', [dict(epochs=3), dict(iterations=40)])
@pytest.mark.parametrize('name', ['SIGSEGV', 'SIGKILL'])
def test_an_image_that_kills_workers_is_named(tmp_path: Path, length: dict, name: str) -> None:
    dataset = Numbers(deadly=[7], signal_name=name)
    runner = toy_runner(tmp_path, workers=2, dataset=dataset, **length)
    died = rf'a DataLoader worker was killed by {name}, reading row7.png; if one dies there again'
    with pytest.raises(Fault, match=died), report_faults():
        runner.train()
    assert wait_until(lambda: not multiprocessing.active_children())


def test_an_image_that_hangs_workers_is_named(tmp_path: Path) -> None:
    dataset = Numbers(hanging=[7])
    runner = toy_runner(tmp_path, epochs=3, workers=2, dataset=dataset, loader=dict(timeout=5))
    hangs = r'within 5 seconds: one of them hangs, at .*row7.png'
    with pytest.raises(Fault, match=hangs), report_faults():
        runner.train()
    assert wait_until(lambda: not multiprocessing.active_children())


def test_workers_that_die_at_once_are_noticed(tmp_path: Path) -> None:
    """Also before torch looks after them, not at the end of the loader's timeout.

    In a process of its own, as torch does not forget workers that died while it started others.
    """
    program = (
        'import pathlib, sys\n'
        'from symmim_mm.engine.faults import report_faults\n'
        'from toy_run import Numbers, toy_runner\n'
        'rows = Numbers(deadly=range(22))\n'
        'with report_faults():\n'
        '    toy_runner(pathlib.Path(sys.argv[1]), epochs=1, workers=8, dataset=rows,'
        '               loader=dict(timeout=900)).train()'
    )
    done = subprocess.run(
        [sys.executable, '-c', program, tmp_path], cwd=ROOT, capture_output=True,
        text=True, env={**os.environ, 'PYTHONPATH': SUPPORT}, timeout=300,
    )  # fmt: skip
    assert re.search(r'Fault: .*DataLoader worker .* killed .*, reading row', done.stderr)


def worker_pids() -> list[int]:
    return [child.pid for child in multiprocessing.active_children()]


@pytest.mark.parametrize('wrapped_in', [TypeError, None])
def test_a_killed_worker_is_noticed_whatever_a_library_makes_of_the_error(
    tmp_path: Path, wrapped_in: type | None
) -> None:
    """torch raises its error in the midst of any code, which may raise another one, or continue."""

    def kill_worker() -> None:
        try:
            os.kill(worker_pids()[0], signal.SIGKILL)
            time.sleep(60)
        except RuntimeError as error:
            if wrapped_in:
                raise wrapped_in('unsupported callable') from error

    runner = toy_runner(tmp_path, iterations=200, workers=2, hooks=(At(3, kill_worker),))
    died = 'worker was killed by SIGKILL[;,] .* --resume'  # with the image that it read, perhaps
    with pytest.raises(Fault, match=died), report_faults():
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
