"""Files that take their name when they are whole: modes, errors, several writers, kill -9."""

import hashlib
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from paths import ROOT

from symmim_mm.utils.files import file_sha256, remove_parts, replacing, write_atomic


@pytest.mark.parametrize(('umask', 'mode'), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_mode_of_any_other(tmp_path: Path, umask: int, mode: int) -> None:
    path = tmp_path / 'new' / 'a.json'
    before = os.umask(umask)
    try:
        write_atomic(path, 'ä')
    finally:
        os.umask(before)
    assert path.read_bytes() == 'ä'.encode() and path.stat().st_mode & 0o777 == mode


def test_an_error_in_the_writing_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / 'a'
    write_atomic(path, 'old')
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b'half')
        file.flush()
        assert path.read_text() == 'old'
        raise KeyboardInterrupt
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / 'a').mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path / 'a', 'x')
    assert [entry.name for entry in tmp_path.iterdir()] == ['a']


@pytest.mark.skipif(os.geteuid() != 0, reason='only root could replace it')
def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    device = tmp_path / 'null'
    try:
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip('no devices can be made here')
    with pytest.raises(FileExistsError, match='A device, not replaced by a file'):
        write_atomic(device, 'new')
    assert device.is_char_device() and [*tmp_path.iterdir()] == [device]


def test_writers_of_the_same_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / 'a'
    contents = [bytes([i]) * 100_000 for i in range(40)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda content: write_atomic(path, content), contents))
    assert path.read_bytes() in contents and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_leaves(tmp_path: Path) -> None:
    path = tmp_path / 'a.json'
    write_atomic(path, 'old')
    (tmp_path / 'mine.part').touch()
    program = (
        'import sys, time; from symmim_mm.utils.files import replacing\n'
        'with replacing(sys.argv[1]) as file:\n'
        '    file.write(b"half"); file.flush(); print("in it", flush=True); time.sleep(600)'
    )
    command = [sys.executable, '-c', program, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'in it\n'
        process.kill()
    assert path.read_text() == 'old'
    assert len(list(tmp_path.glob('.a.json.*.part'))) == 1
    remove_parts(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ['a.json', 'mine.part']


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    write_atomic(tmp_path / 'file', content)
    assert file_sha256(tmp_path / 'file') == hashlib.sha256(content).hexdigest()
