"""Writing the sample data: whole or not at all, once, and never over the files of others."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from paths import ROOT
from processes import WAIT_S, wait_until
from sample_folders import SMALL, files_of

from symmim_mm.datasets.sample import generate
from symmim_mm.datasets.sample.generate import write_sample_data
from symmim_mm.utils.errors import UserError

SMALL_OPTIONS = [f'--{name.replace("_", "-")}={value}' for name, value in SMALL.items()]


def test_nothing_is_done_twice(small: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small.rglob('*')}
    manifest = write_sample_data(small, **SMALL)
    assert manifest['sha256'] == json.loads((small / 'manifest.json').read_text())['sha256']
    assert before == {path: path.stat().st_mtime_ns for path in small.rglob('*')}


def test_other_options_do_not_overwrite(small: Path) -> None:
    before = files_of(small)
    with pytest.raises(UserError, match='different seed'):
        write_sample_data(small, seed=3, **SMALL)
    with pytest.raises(UserError, match='different counts'):
        write_sample_data(small, **{**SMALL, 'train': 30})
    assert files_of(small) == before


@pytest.mark.parametrize('name', ['notes.txt', 'manifest.json'])
def test_foreign_folder_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('mine')
    with pytest.raises(UserError, match='not empty and holds no sample data'):
        write_sample_data(tmp_path, **SMALL)
    assert files_of(tmp_path) == {name: b'mine'}


def test_empty_folder_and_link_to_one_are_filled(small: Path, tmp_path: Path) -> None:
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'link').symlink_to('empty')
    write_sample_data(tmp_path / 'link', **SMALL)
    assert files_of(tmp_path / 'empty') == files_of(small)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['empty', 'link']


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(seed=-1), 'seed must be 0 or more'),
        (dict(size=8), 'coco: images must be 32 to 1024'),
        (dict(class_size=4096), 'imagenet: images must be'),
        (dict(train=9), 'imagenet/train: the number of images must be at least 10'),
        (dict(ade_val=0), 'ade20k/validation: .* at least 1'),
    ],
)
def test_bad_options(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_sample_data(tmp_path / 'out', **{**SMALL, **options})
    assert not any(tmp_path.iterdir())


def test_target_below_a_file(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    for out in (tmp_path / 'file' / 'a' / 'out', tmp_path / 'file'):
        with pytest.raises(NotADirectoryError):  # one line, of a command
            write_sample_data(out, **SMALL)


def test_full_disk_leaves_nothing(tool, small_disk: Callable[[str], Path]) -> None:
    disk = small_disk('256k')
    done = tool('make_sample_data.py', disk / 'out', *SMALL_OPTIONS)
    assert done.returncode == 1 and done.stdout == '' and list(disk.iterdir()) == []
    assert done.stderr.startswith('error: No space left on device') and 'make room' in done.stderr
    assert done.stderr.count('\n') == 1


def test_processes_draw_the_same(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, 'FEW', 1)
    write_sample_data(tmp_path / 'out', **SMALL, workers=2)
    assert files_of(tmp_path / 'out') == files_of(small)


@pytest.mark.parametrize('killed', [False, True])
def test_interruption_leaves_nothing(tmp_path: Path, killed: bool) -> None:
    command = [sys.executable, str(ROOT / 'tools/make_sample_data.py'), str(tmp_path / 'out')]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert wait_until(lambda: list(tmp_path.rglob('*.png')))
    assert [path.name for path in tmp_path.iterdir()] != ['out']
    message, code = 'interrupted', 130
    if killed:  # one of the processes that draw, below the server that forks them
        message = 'error: a process that drew images was killed by SIGKILL: start it again'
        code = 1
        server = psutil.Process(process.pid).children()
        next(worker for parent in server for worker in parent.children()).kill()
    else:
        os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == code and errors.splitlines()[-1] == message
    assert killed or errors.count('\n') == 1
    assert list(tmp_path.iterdir()) == []


def test_command(tool, small: Path, tmp_path: Path) -> None:
    out = tmp_path / 'deep' / 'out'
    done = tool('make_sample_data.py', out, *SMALL_OPTIONS)
    digest = json.loads((small / 'manifest.json').read_text())['sha256']
    assert done.returncode == 0 and done.stderr == ''
    assert done.stdout == f'{out}: 50 images, sha256 {digest}\n'
    assert files_of(out) == files_of(small)
    again = tool('make_sample_data.py', out, *SMALL_OPTIONS, '--seed', '4')
    assert again.returncode == 2 and again.stdout == ''
    assert again.stderr.startswith('error: ') and again.stderr.count('\n') == 1
    text = tool('make_sample_data.py', '--help').stdout
    assert '--coco-train' in text and 'manifest.json' in text
