"""Programs in forked processes."""

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, os, sys, tempfile, threading, time
from symmim_mm.utils.warm_start import become

atexit.register(os.write, 1, b'library\\n')
child = os.fork()
if not child:
    become(program, ['name', 'word'], 1, 1)
_, status = os.waitpid(child, 0)
os.write(1, f'code {os.waitstatus_to_exitcode(status)}\\n'.encode())
os._exit(0)
"""


@pytest.mark.parametrize(
    ('body', 'lines'),
    [
        ('print(*sys.argv)', ['name word', 'library', 'code 0']),
        ('print("a"); sys.exit(3)', ['a', 'library', 'code 3']),
        ('sys.exit("why")', ['why', 'library', 'code 1']),
        ('atexit.register(print, "last")', ['last', 'library', 'code 0']),
        (
            'threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()',
            ['thread', 'library', 'code 0'],
        ),
        ('raise ValueError("bad")', ['ValueError: bad', 'library', 'code 1']),
    ],
)
def test_a_program_ends_as_in_an_interpreter_of_its_own(body: str, lines: list[str]) -> None:
    code = PROGRAM.replace('child = os.fork()', f'def program():\n    {body}\nchild = os.fork()')
    done = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    assert done.stdout.splitlines()[-len(lines) :] == lines
