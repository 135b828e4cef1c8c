"""Exit codes of ``torchrun`` that tell a launch script, or a scheduler, what happened."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# What rank 1 does; rank 0 waits, and ends with 75 when it is told to stop.
WORKER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
open(sys.argv[1] + os.environ['RANK'], 'w').close()
if os.environ['RANK'] == '1':
    {does}
time.sleep({seconds})
"""


def start(folder: Path, does: str, seconds: float = 60) -> subprocess.Popen:
    script = folder / 'worker.py'
    script.write_text(WORKER.format(does=does, seconds=seconds))
    elastic = [sys.executable, '-m', 'symmim_mm.engine.elastic']
    command = [*elastic, '--standalone', '--nproc_per_node=2']
    return subprocess.Popen(
        [*command, str(script), str(folder / 'rank')], stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ('does', 'code', 'told'),
    [
        ('sys.exit(2)', 2, ''),
        ('sys.exit(75)', 75, ''),
        ('os.kill(os.getpid(), 9)', 1, 'the process of rank 1'),
    ],
)
def test_the_code_is_that_of_the_first_to_fail(tmp_path: Path, does, code, told) -> None:
    process = start(tmp_path, does)
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == code, errors
    assert 'Traceback' not in errors
    lines = [line for line in errors.splitlines() if line.startswith('error: ')]
    assert len(lines) == bool(told) and told in ''.join(lines)


def test_no_failure(tmp_path: Path) -> None:
    process = start(tmp_path, 'pass', seconds=0)
    process.communicate(timeout=300)
    assert process.returncode == 0


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1'])
def test_told_to_stop(tmp_path: Path, name: str) -> None:
    process = start(tmp_path, 'pass')
    while not ((tmp_path / 'rank0').exists() and (tmp_path / 'rank1').exists()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.Signals[name])
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 75, errors
    assert 'Traceback' not in errors
