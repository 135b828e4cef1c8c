"""Exit codes of ``torchrun`` that tell a launch script, or a scheduler, what happened."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import wait_until

pytestmark = pytest.mark.slow

# What rank 1 does; rank 0 waits, and ends with 75 when a signal stops it.
WORKER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
open(sys.argv[1] + os.environ['RANK'], 'w').close()
if os.environ['RANK'] == '1':
    {action}
time.sleep(60)
"""


@pytest.mark.parametrize(
    ('action', 'stop', 'code', 'line'),
    [
        ('sys.exit(2)', None, 2, ''),
        ('os.kill(os.getpid(), 9)', None, 1, 'the process of rank 1'),
        ('pass', 'SIGTERM', 75, ''),
        ('pass', 'SIGUSR1', 75, ''),
    ],
)
def test_exit_code(tmp_path: Path, action: str, stop: str | None, code: int, line: str) -> None:
    """It is that of the first process to fail."""
    script, marks = tmp_path / 'worker.py', tmp_path / 'rank'
    script.write_text(WORKER.format(action=action))
    command = [
        sys.executable, '-m', 'symmim_mm.engine.elastic', '--standalone', '--nproc_per_node=2',
        str(script), str(marks),
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    if stop:
        assert wait_until(lambda: len(list(tmp_path.glob('rank*'))) == 2)
        process.send_signal(signal.Signals[stop])
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == code, errors
    assert 'Traceback' not in errors
    lines = [text for text in errors.splitlines() if text.startswith('error: ')]
    assert len(lines) == bool(line) and line in ''.join(lines)
