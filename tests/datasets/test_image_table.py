"""Tables of images are whole or absent, also when their writer is killed."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import save

from symmim_mm.datasets.image_table import (
    ImageTable,
    pack_names,
    read_table,
    write_table,
)

ANY = arrays.arrays(
    st.sampled_from([np.uint8, np.int32, np.int64, np.float32]),
    arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9),
)
NAME = st.text(st.characters(codec='utf-8', exclude_characters='\0'), max_size=12)


@given(st.dictionaries(st.text(max_size=5), ANY, max_size=4), st.lists(st.text(max_size=5)))
def test_reads_what_was_written(tmp_path_factory, content: dict, meta: list) -> None:
    path = tmp_path_factory.mktemp('tables') / 'a'
    write_table(path, {'names': meta}, content)
    found_meta, found = read_table(path)
    assert found_meta == {'names': meta} and found.keys() == content.keys()
    for name, array in content.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes() and not found[name].flags.writeable
    assert [entry.name for entry in path.parent.iterdir()] == ['a']


def test_old_columns_outlive_a_new_file(tmp_path: Path) -> None:
    write_table(tmp_path / 'a', {}, {'x': np.arange(5)})
    old = read_table(tmp_path / 'a')[1]['x']
    write_table(tmp_path / 'a', {}, {'x': np.arange(9)})
    assert old.tolist() == [0, 1, 2, 3, 4] and len(read_table(tmp_path / 'a')[1]['x']) == 9


def test_columns_are_shared_and_not_copied(tmp_path: Path) -> None:
    """The file is in this process's memory as what it is."""
    path = tmp_path / 'a'
    write_table(path, {}, {'x': np.arange(1_000_000)})
    _, columns = read_table(path)
    address = columns['x'].ctypes.data
    for line in Path('/proc/self/maps').read_text().splitlines():
        first, last = (int(part, 16) for part in line.split()[0].split('-'))
        if first <= address < last:
            assert line.endswith(str(path))
            return
    pytest.fail('the column is in no mapping')


@pytest.mark.parametrize('content', [
    b'', b'\xff' * 16, b'something else' * 9, save({'x': np.arange(50)})[:-1],
    save({'x': np.arange(50)}), save({}, {'meta': '{'}), save({}, {'meta': '[]'}),
    save({}, {'meta': '[' * 100_000}), save({}, {'other': '{}'}),
], ids=range(9))  # fmt: skip
def test_other_damaged_and_cut_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'a').write_bytes(content)
    with pytest.raises(ValueError, match=f'^{tmp_path}/a is damaged: '):
        read_table(tmp_path / 'a')


def test_a_pipe_is_no_table(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'a')
    with pytest.raises(OSError, match='not a regular file'):
        read_table(tmp_path / 'a')


@given(st.lists(NAME))
def test_names(names: list[str]) -> None:
    names = [*names, os.fsdecode(b'latin-\xe9')]
    columns = pack_names(names)
    assert [*map(ImageTable(columns, None).path, range(len(names)))] == names
