"""A second run in the same work directory is refused: it would overwrite the files of the first."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from symmim_mm import cli
from symmim_mm.utils import locks
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.work_dir import exclusive_work_dir

HOLDER = """
import os, sys, time
from symmim_mm.utils.work_dir import exclusive_work_dir
with exclusive_work_dir(sys.argv[1]):
    if os.fork() == 0:  # as a loader worker does, which outlives a killed run
        time.sleep(600)
        os._exit(0)
    print('locked', flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def hold(tmp_path: Path):
    """Start a process that holds a folder for some seconds."""
    started = []

    def start(seconds: float) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, '-c', HOLDER, str(tmp_path), str(seconds)], stdout=subprocess.PIPE,
            env={**os.environ, 'PYTHONPATH': str(ROOT)}, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == b'locked\n'
        return process

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_another_process_is_refused_until_the_holder_is_killed(tmp_path: Path, hold) -> None:
    process = hold(600)
    problem = rf'another run \(process {process.pid} on .*\) is using {tmp_path}: .* --work-dir$'
    with pytest.raises(UserError, match=problem), exclusive_work_dir(str(tmp_path)):
        pass
    process.kill()
    process.wait()
    os.killpg(process.pid, 0)  # what it forked lives on
    for _ in range(2):
        with exclusive_work_dir(str(tmp_path)):
            assert f'process {os.getpid()} ' in (tmp_path / 'run.lock').read_text()


def test_a_restarted_run_waits(tmp_path: Path, hold, monkeypatch) -> None:
    monkeypatch.setattr(locks, 'POLL_S', 0.02)
    hold(1.0)
    with exclusive_work_dir(str(tmp_path), 300.0):
        pass


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch, capsys) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, 'Function not implemented')

    monkeypatch.setattr('fcntl.lockf', refuse)
    with exclusive_work_dir(str(tmp_path)):
        pass
    assert 'without locks' in ''.join(capsys.readouterr())


def test_a_training_in_a_folder_in_use(
    tmp_path: Path, sample_data: Path, hold, monkeypatch, capsys
) -> None:
    process, data = hold(600), sample_data / 'imagenet'
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as ended:
        cli.run_command('train', 'train', [
            'configs/quickstart/symmim_pretrain.py', '--work-dir', str(tmp_path), '--cfg-options',
            f'train_dataloader.dataset.data_root={data}',
        ])  # fmt: skip
    problem = f'error: another run (process {process.pid} on '
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(problem)
    assert not list(tmp_path.glob('*.pth'))
