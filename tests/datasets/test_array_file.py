"""Files of arrays are whole or absent, also when their writer is killed."""

import json
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

from symmim_mm.datasets.array_file import MARK, read_arrays, write_arrays
from symmim_mm.datasets.packed_strings import are_packed, name_at, pack_names

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


PLACE = dict(dtype='<i8', shape=[1], place=0)
HEADS = [
    5, [], {}, dict(meta={}, arrays={}, size='8'), dict(meta=[], arrays={}, size=8),
    dict(meta={}, arrays=7, size=8), dict(meta={}, arrays={'x': 7}, size=8),
    *(dict(meta={}, arrays={'x': dict(PLACE, **other)}, size=8) for other in (
        dict(dtype='O'), dict(dtype=7), dict(dtype='what'), dict(shape=[10**30]), dict(shape=[2]),
        dict(shape='1'), dict(place=None), dict(place=1e400), dict(place=4),
    )),
]  # fmt: skip


@pytest.mark.parametrize('head', HEADS, ids=str)
def test_damaged_heads(tmp_path, head: object) -> None:
    text = json.dumps(head).encode()
    start = MARK + len(text).to_bytes(8, 'little') + text
    (tmp_path / 'a').write_bytes(start + bytes(-len(start) % 64) + bytes(8))
    with pytest.raises(ValueError, match=f'^{tmp_path}/a is damaged: '):
        read_arrays(tmp_path / 'a')


def test_a_pipe_is_no_file_of_arrays(tmp_path) -> None:
    os.mkfifo(tmp_path / 'a')
    with pytest.raises(OSError, match='not a regular file'):
        read_arrays(tmp_path / 'a')


WRITER = """
import sys, numpy as np
from symmim_mm.datasets.array_file import write_arrays
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
    assert are_packed(text, ends)
    assert not are_packed(text[1:], ends) or not len(text)
    assert not are_packed(text, ends[:-1]) or not names or not names[-1]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4), st.integers(0, 5))
def test_any_ends(ends: list[int], length: int) -> None:
    bounds = [0, *ends]
    expected = bounds == sorted(bounds) and bounds[-1] == length
    assert are_packed(np.zeros(length, np.uint8), np.array(ends, np.int64)) == expected
