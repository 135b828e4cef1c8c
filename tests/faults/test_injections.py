"""The fault injections in small numbers; ``docs/reliability.md`` has the large ones.

Each script injects its faults into real runs and compares the outcome with that of a run without
any; it ends with 0 only if all were survived.
"""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ('command', 'lines'),
    [
        ('kill_many.py --times 2 --tasks pretrain', 1),  # counts epochs
        ('kill_many.py --times 2 --signal USR1 --tasks detection', 1),  # counts iterations
        ('not_finite.py', 2),
        ('workers.py --times 1', 9),
        ('disk.py', 2),  # two more as root, who may mount a file system
        ('damaged.py', 4),
        ('ranks.py --times 1', 3),
        ('interrupts.py --times 1', 3),
    ],
)
def test_survived(command: str, lines: int, tmp_path: Path) -> None:
    name, *options = command.split()
    result = subprocess.run(
        [sys.executable, str(HERE / name), *options, '--keep', str(tmp_path)],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    rows = [line.split('|')[2:4] for line in result.stdout.splitlines()[2:]]
    assert len(rows) >= lines
    assert all(tries.strip() == survived.strip() != '0' for tries, survived in rows)
