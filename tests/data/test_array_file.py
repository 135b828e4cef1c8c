"""Files of arrays are whole or absent, also when their writer is killed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from symmim_mm.data.array_file import MARK, read_arrays, write_arrays
from symmim_mm.data.names import name_at, pack_names

ANY = arrays.arrays(
    st.sampled_from([np.uint8, np.int32, np.int64, np.float32]),
    arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9),
)


@given(st.dictionaries(st.text(max_size=5), ANY, max_size=4), st.lists(st.text(max_size=5)))
def test_reads_what_was_written(tmp_path_factory, content: dict, meta: list) -> None:
    path = tmp_path_factory.mktemp('arrays') / 'a'
    write_arrays(path, {'texts': meta}, content)
    found_meta, found = read_arrays(path)
    assert found_meta == {'texts': meta} and found.keys() == content.keys()
    for name, array in content.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes() and not found[name].flags.writeable
    assert [entry.name for entry in path.parent.iterdir()] == ['a']


def test_old_arrays_outlive_a_new_file(tmp_path) -> None:
    write_arrays(tmp_path / 'a', {}, {'x': np.arange(5)})
    old = read_arrays(tmp_path / 'a')[1]['x']
    write_arrays(tmp_path / 'a', {}, {'x': np.arange(9)})
    assert old.tolist() == [0, 1, 2, 3, 4] and len(read_arrays(tmp_path / 'a')[1]['x']) == 9


@pytest.mark.parametrize('content', [b'', MARK, MARK + b'\xff' * 8, b'something else' * 9, None])
def test_other_and_cut_files(tmp_path, content: bytes | None) -> None:
    path = tmp_path / 'a'
    if content is None:
        write_arrays(path, {}, {'x': np.arange(50)})
        content = path.read_bytes()[:-1]
    path.write_bytes(content)
    with pytest.raises(ValueError, match='is not a file of arrays|is incomplete'):
        read_arrays(path)


WRITER = """
import sys, numpy as np
from symmim_mm.data.array_file import write_arrays
for number in range(10_000):
    write_arrays(sys.argv[1], {'number': number}, {'x': np.full(300_000, number)})
    if number == 2:
        print('going', flush=True)
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_a_whole_file(tmp_path) -> None:
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, '-c', WRITER, tmp_path / 'a'], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        time.sleep(0.03)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        meta, found = read_arrays(tmp_path / 'a')
        assert (found['x'] == meta['number']).all() and len(found['x']) == 300_000


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch) -> None:
    write_arrays(tmp_path / 'a', {}, {'x': np.arange(5)})

    def full(handle: int) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        write_arrays(tmp_path / 'a', {}, {'x': np.arange(9)})
    assert [entry.name for entry in tmp_path.iterdir()] == ['a']
    assert len(read_arrays(tmp_path / 'a')[1]['x']) == 5


@given(st.lists(st.binary(max_size=12)))
def test_names(names: list[bytes]) -> None:
    text, ends = pack_names(names)
    assert [os.fsencode(name_at(text, ends, i)) for i in range(len(names))] == names
