"""Standard streams that are closed, full or that nobody reads: no traceback, the right code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

PROGRAM = """
import sys
from symmim_mm import cli
from symmim_mm.utils.errors import UserError

def main(args):
    with open('other', 'w') as file:
        print('many words ' * 20_000)
        file.write('mine')
    if len(sys.argv) > 1:
        raise eval(sys.argv[1])

import argparse
parser = argparse.ArgumentParser()
parser.add_argument('error', nargs='?')
cli.run(main, lambda: parser)
"""


def end(folder: Path, redirection: str, error: str = '') -> tuple[int, str]:
    """Exit code and stderr of the program above in a shell."""
    command = '"$0" -c "$1" ${2:+"$2"} ' + redirection
    done = subprocess.run(
        ['bash', '-c', command, sys.executable, PROGRAM, error], cwd=folder, text=True,
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, timeout=300,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ('redirection', 'code', 'told'),
    [
        ('', 0, ''),
        ('>&-', 0, ''),
        ('<&- >&-', 0, ''),
        ('2>&-', 0, ''),
        ('| true; exit ${PIPESTATUS[0]}', 141, ''),
        ('> /dev/full', 1, 'error: No space left on device: make room, then start it again\n'),
    ],
)
def test_output_that_nobody_takes(tmp_path: Path, redirection: str, code: int, told: str) -> None:
    assert end(tmp_path, redirection) == (code, told)
    if code == 0:
        assert (tmp_path / 'other').read_text() == 'mine'


@pytest.mark.parametrize('redirection', ['', '>&-', '2>&-', '<&- >&- 2>&-'])
@pytest.mark.parametrize(
    ('error', 'code', 'told'),
    [
        ("UserError('no')", 2, 'error: no\n'),
        ('SystemExit(75)', 75, ''),
        ("OSError(30, 'Read-only file system', 'x')", 1,
         'error: Read-only file system: x: make room, then start it again\n'),
        ("PermissionError(13, 'Permission denied', 'x')", 2, 'error: Permission denied: x\n'),
        ('KeyboardInterrupt', 130, 'interrupted\n'),
    ],
)  # fmt: skip
def test_the_exit_code_is_the_same_without_streams(
    tmp_path: Path, redirection: str, error: str, code: int, told: str
) -> None:
    assert end(tmp_path, redirection, error) == (code, '' if '2>&-' in redirection else told)


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    for error in ('OSError(5)', 'BrokenPipeError(32, "of a process")', 'KeyError("x")'):
        code, told = end(tmp_path, '', error)
        assert code == 1 and told.startswith('Traceback'), told


@pytest.mark.slow
def test_a_command_whose_reader_is_gone(tmp_path: Path, sample_data: Path) -> None:
    script = f'{sys.executable} tools/check_dataset.py folder {sample_data}/imagenet/val | true'
    done = subprocess.run(
        ['bash', '-c', script + '; exit ${PIPESTATUS[0]}'], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (141, '')
