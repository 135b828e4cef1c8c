"""The fault injections in small numbers; ``docs/reliability.md`` has the large ones.

Each script injects its faults into real runs and compares the outcome with that of a run without
any; it ends with 0 only if all were survived.
"""

from pathlib import Path

import pytest

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
def test_survived(tool, command: str, lines: int, tmp_path: Path) -> None:
    name, *options = command.split()
    result = tool(f'../tests/faults/{name}', *options, '--keep', tmp_path, timeout=1800)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    rows = [line.split('|')[2:4] for line in result.stdout.splitlines()[2:]]
    assert len(rows) >= lines
    assert all(tries.strip() == survived.strip() != '0' for tries, survived in rows)
