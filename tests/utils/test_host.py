"""Freed memory is used again without asking the system for it."""

import subprocess
import sys

import pytest

# In a process of its own: the setting cannot be taken back.
PROGRAM = """
from resource import RUSAGE_SELF, getrusage
from symmim_mm.utils.host import keep_freed_memory
if {keep}:
    keep_freed_memory()
for _ in range(2):
    before = getrusage(RUSAGE_SELF).ru_minflt
    bytes.join(b'', [b'x' * (64 << 20)])
    faults = getrusage(RUSAGE_SELF).ru_minflt - before
print(faults)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='of glibc')
@pytest.mark.parametrize('keep', [True, False])
def test_a_block_is_allocated_again(keep: bool) -> None:
    command = [sys.executable, '-c', PROGRAM.format(keep=keep)]
    faults = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert (faults < 100) is keep


def test_the_cores_are_those_that_the_process_is_bound_to() -> None:
    program = (
        'import os; from symmim_mm.utils.host import available_cores; '
        'os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1]); print(available_cores())'
    )
    done = subprocess.run([sys.executable, '-c', program], check=True, capture_output=True)
    assert int(done.stdout) == 1
