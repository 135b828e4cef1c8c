"""Sealed files: whole or not there, and any change of their bytes is found."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symmim_mm.checkpoint.read import newest_whole_checkpoint, read_checkpoint
from symmim_mm.checkpoint.sealed import SEAL_SIZE, check_seal, write_sealed
from symmim_mm.utils.errors import UserError

STATE = dict(state_dict=dict(weight=torch.arange(600.0)), meta=dict(epoch=1))


def saved(state: dict = STATE) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@pytest.fixture(scope='module')
def sealed(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp('sealed') / 'x.pth'
    write_sealed(saved(), path)
    return path.read_bytes()


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('place') / 'epoch_1.pth'


def test_a_sealed_checkpoint_is_one_that_everybody_reads(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'x.pth'
    write_sealed(saved(), path)
    assert check_seal(path)
    for options in (dict(), dict(mmap=True)):
        found = torch.load(path, weights_only=True, **options)
        assert torch.equal(found['state_dict']['weight'], STATE['state_dict']['weight'])
    assert zipfile.ZipFile(path).testzip() is None
    assert [file.name for file in path.parent.iterdir()] == ['x.pth']


def test_files_without_a_seal(tmp_path: Path) -> None:
    plain = tmp_path / 'plain.pth'
    plain.write_bytes(saved())
    assert not check_seal(plain)
    other = tmp_path / 'other.txt'
    write_sealed(b'no archive', other)
    assert other.read_bytes() == b'no archive'
    assert not check_seal(other)


@given(st.data())
def test_any_other_byte_is_found(sealed: bytes, place: Path, data) -> None:
    """In the archive itself; a changed seal is worth as much as none."""
    index = data.draw(st.integers(0, len(sealed) - SEAL_SIZE - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != sealed[index]))
    place.write_bytes(sealed[:index] + bytes([value]) + sealed[index + 1 :])
    if index < len(sealed) - SEAL_SIZE - 2:  # the two bytes before it are the comment's length
        with pytest.raises(UserError, match='damaged'):
            check_seal(place)
        with pytest.raises(UserError, match='epoch_1.pth'):
            read_checkpoint(place)


@given(st.data())
def test_any_missing_end_is_found(sealed: bytes, place: Path, data) -> None:
    place.write_bytes(sealed[: data.draw(st.integers(0, len(sealed) - SEAL_SIZE - 22))])
    with pytest.raises(UserError, match='epoch_1.pth'):
        read_checkpoint(place)


@given(st.data())
def test_a_file_with_something_missing_within_is_found(sealed: bytes, place: Path, data) -> None:
    begin = data.draw(st.integers(0, len(sealed) - SEAL_SIZE - 3))
    end = data.draw(st.integers(begin + 1, len(sealed) - SEAL_SIZE - 2))
    place.write_bytes(sealed[:begin] + sealed[end:])
    with pytest.raises(UserError, match='bytes and was written with'):
        check_seal(place)


def test_a_failed_writing_leaves_the_old_file_alone(tmp_path: Path) -> None:
    """For real: a process that may write no file larger than the old one."""
    path = tmp_path / 'x.pth'
    write_sealed(saved(), path)
    before = path.read_bytes()
    program = (
        'import resource, sys; from symmim_mm.checkpoint.sealed import write_sealed\n'
        f'resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before)}, {len(before)}))\n'
        f'write_sealed(bytes({len(before) + 1}), sys.argv[1])'
    )
    command = [sys.executable, '-c', program, str(path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert 'File too large' in result.stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_newest_whole_checkpoint(tmp_path: Path, capsys) -> None:
    assert newest_whole_checkpoint(tmp_path) is None
    names = ['epoch_2.pth', 'epoch_9.pth', 'epoch_9_iter_4.pth', 'epoch_9_iter_12.pth']
    for name in names:
        write_sealed(saved(), tmp_path / name)
    (tmp_path / 'best_epoch_11.pth').write_bytes(b'of another kind')
    for broken, newest in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
        assert newest_whole_checkpoint(tmp_path) == tmp_path / broken
        file = bytearray((tmp_path / broken).read_bytes())
        file[len(file) // 2] ^= 1
        (tmp_path / broken).write_bytes(file)
        assert newest_whole_checkpoint(tmp_path) == tmp_path / newest
        assert broken in capsys.readouterr().out
    (tmp_path / names[0]).write_bytes(b'')
    with pytest.raises(UserError, match='none of the 4 checkpoints'):
        newest_whole_checkpoint(tmp_path)
