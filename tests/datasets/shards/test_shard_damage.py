"""Prepared sets that are not as they were written: told in one line, and mended by preparing."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prepared_samples import COUNT, OPTIONS, digest, write_source

from symmim_mm.datasets.array_file import read_arrays, write_arrays
from symmim_mm.datasets.folder_index import open_index
from symmim_mm.datasets.image_folder import IndexedFolder
from symmim_mm.datasets.shards.manifest import finished_manifest, read_manifest
from symmim_mm.datasets.shards.prepare import EXTENSIONS, prepare
from symmim_mm.datasets.shards.reader import PreparedSet, verify
from symmim_mm.datasets.shards.writer import read_shard
from symmim_mm.utils.errors import UserError


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp('pictures'))


@pytest.fixture(scope='module')
def prepared(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('prepared') / 'set'
    prepare(source, out, **OPTIONS)
    return out


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'symmim_mm' / 'index'


@pytest.fixture
def copied(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / 'set'))


def change_list(out: Path, change: Callable[[dict], object]) -> None:
    meta, arrays = read_arrays(out / 'pictures')
    change(arrays)
    write_arrays(out / 'pictures', meta, arrays)


def change_manifest(out: Path, change: Callable[[dict], object]) -> None:
    manifest = read_manifest(out)
    change(manifest)
    (out / 'manifest.json').write_text(json.dumps(manifest))


def cut(arrays: dict) -> None:
    """Of whole columns, as the list of a smaller set has them."""
    kept = COUNT - 5
    arrays['text'] = arrays['text'][: arrays['ends'][kept - 1]]
    for name in ('ends', 'shard', 'start', 'size', 'labels'):
        arrays[name] = arrays[name][:kept]


def edit(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict], None]:
    return lambda arrays: arrays.update({name: change(arrays[name]).astype(arrays[name].dtype)})


# What is changed in a list -> what is said of it where the manifest has no hash.
ROWS = {
    'a cut list': (cut, 'it has 18 pictures instead of 23'),
    'labels too high': (edit('labels', lambda x: x + 1000), 'its labels are out of range'),
    'labels below 0': (edit('labels', lambda x: x * 0 - 5), 'its labels are out of range'),
    'no labels': (lambda arrays: arrays.pop('labels'), 'its columns labels are not those'),
    'a column too many': (
        lambda arrays: arrays.update(more=arrays['size']), 'its columns more are not those'
    ),
    'another dtype': (
        lambda arrays: arrays.update(start=arrays['start'] / 2), 'its columns start are not those'
    ),
    'one label less': (edit('labels', lambda x: x[1:]), 'it has 22 or 23 pictures instead of 23'),
    'other shards': (edit('shard', lambda x: x[::-1]), 'its shards are out of range'),
    'sizes of 0': (edit('size', lambda x: x * 0), 'its places are out of range'),
    'behind the end': (edit('start', lambda x: x | (2**63 - 1)), 'its places are out of range'),
    'before the start': (edit('start', lambda x: -x), 'its places are out of range'),
    'other names': (edit('ends', lambda x: x[::-1]), 'its names are out of range'),
}  # fmt: skip


def check_is_told_and_mended(out: Path, source: Path, whole: dict, message: str) -> None:
    for use in (PreparedSet, verify, lambda place: IndexedFolder(data_root=str(place))):
        with pytest.raises(UserError, match=message) as error:
            use(out)
        assert 'call tools/prepare_dataset.py with the same options again' in str(error.value)
    prepare(source, out, **OPTIONS)
    assert digest(out) == whole and verify(out).pictures == COUNT


@pytest.mark.parametrize('change', ROWS)
def test_changed_list(change: str, source: Path, prepared: Path, copied: Path) -> None:
    change_list(copied, ROWS[change][0])
    message = 'set/pictures is not the list that manifest.json has the SHA-256 of'
    check_is_told_and_mended(copied, source, digest(prepared), message)


@pytest.mark.parametrize('change', ROWS)
def test_changed_list_without_a_hash(
    change: str, source: Path, prepared: Path, copied: Path
) -> None:
    change_manifest(copied, lambda manifest: manifest.pop('list_sha256'))
    change_list(copied, ROWS[change][0])
    message = f'set/pictures does not fit manifest.json: {ROWS[change][1]}'
    check_is_told_and_mended(copied, source, digest(prepared), message)


def test_permuted_labels(source: Path, prepared: Path, copied: Path) -> None:
    """In range, so that nothing but the hash tells."""
    change_list(copied, edit('labels', lambda labels: labels[::-1]))
    check_is_told_and_mended(copied, source, digest(prepared), 'is not the list that')


def test_list_of_another_set(source: Path, prepared: Path, copied: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / 'other', **OPTIONS, quality=50)
    shutil.copy(tmp_path / 'other' / 'pictures', copied)
    check_is_told_and_mended(copied, source, digest(prepared), 'is not the list that')


def test_folder_index_in_place_of_the_list(
    source: Path, prepared: Path, copied: Path, cache: Path
) -> None:
    open_index(str(source), EXTENSIONS, labelled=True)
    shutil.copy(next(cache.glob('*.index')), copied / 'pictures')
    check_is_told_and_mended(copied, source, digest(prepared), 'is not the list that')


@pytest.mark.parametrize('name', ['pictures', 'shard-00001.tar'])
def test_pipes(name: str, source: Path, prepared: Path, copied: Path) -> None:
    (copied / name).unlink()
    os.mkfifo(copied / name)
    with pytest.raises(UserError, match=f'{name} .*not a (regular )?file'):
        verify(copied)
    prepare(source, copied, **OPTIONS)
    assert digest(copied) == digest(prepared)


def test_manifest_that_is_a_pipe(tmp_path: Path) -> None:
    """In a folder of pictures it is none of ours."""
    folder = tmp_path / 'pictures'
    folder.mkdir()
    write_source(folder)
    os.mkfifo(folder / 'manifest.json')
    assert len(IndexedFolder(data_root=str(folder))) == COUNT
    with pytest.raises(UserError, match='is not empty and holds no prepared set'):
        prepare(folder, folder)


def shard(**values: object) -> Callable[[dict], None]:
    return lambda manifest: manifest['shards'][2].update(values)


FIELDS = {
    'bytes': (shard(bytes=float('inf')), r'shards\[2\].bytes is inf instead of a whole number'),
    'a NUL': (shard(name='a\0b'), r"shards\[2\].name is 'a.x00b' instead of shard-00002.tar"),
    'a surrogate': (shard(name='\ud800'), r'shards\[2\].name is .* instead of shard-00002.tar'),
    'a path': (shard(name='/etc/hostname'), r"shards\[2\].name is '/etc/hostname' instead"),
    'a hash': (shard(sha256='00'), r"shards\[2\].sha256 is '00' instead of a SHA-256"),
    'a truth': (shard(pictures=True), r'shards\[2\].pictures is True instead of a whole number'),
    'below 0': (shard(pictures=-1), r'shards\[2\].pictures is -1 instead of a whole number'),
    'nothing': (lambda manifest: manifest['shards'][2].pop('name'), r'shards\[2\].name is missing'),
    'a list': (lambda manifest: manifest['shards'].append([]), r'shards\[5\] is \[\] instead of'),
    'shards': (lambda manifest: manifest.update(shards={}), 'shards is {} instead of a list'),
    'no shards': (lambda manifest: manifest.pop('shards'), 'shards is missing'),
    'one more': (
        lambda manifest: manifest['shards'].append(
            dict(manifest['shards'][4], name='shard-00005.tar')
        ),
        'pictures is 23 instead of 27, which those of the shards make',
    ),
    'the sum': (lambda manifest: manifest.update(pictures=1e18), r'pictures is 1e\+18 instead'),
    'skipped': (lambda manifest: manifest.update(skipped=[1]), r'skipped is \[1\] instead of'),
    'the list': (lambda manifest: manifest.update(list_sha256=None), 'list_sha256 is None instead'),
}  # fmt: skip


@pytest.mark.parametrize('change', FIELDS)
def test_changed_manifest(change: str, source: Path, prepared: Path, copied: Path) -> None:
    change_manifest(copied, FIELDS[change][0])
    message = f'set/manifest.json is damaged: {FIELDS[change][1]}'
    check_is_told_and_mended(copied, source, digest(prepared), message)


def test_changed_classes(source: Path, copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest.update(classes=5))
    with pytest.raises(UserError, match='damaged: classes is 5 instead of names or null'):
        IndexedFolder(data_root=str(copied))
    with pytest.raises(UserError, match='set with another classes'):
        prepare(source, copied, **OPTIONS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda part: st.lists(part) | st.dictionaries(st.text(max_size=3), part),
    max_leaves=4,
)


@given(st.data(), JSON)
def test_any_value_in_a_manifest(prepared: Path, tmp_path_factory, data, value: object) -> None:
    """It is as it was, or a UserError."""
    manifest = read_manifest(prepared)
    whole = finished_manifest(prepared)
    holder = data.draw(st.sampled_from([manifest, *manifest['shards']]))
    holder[data.draw(st.sampled_from(sorted(holder)))] = value
    folder = tmp_path_factory.mktemp('any')
    (folder / 'manifest.json').write_text(json.dumps(manifest))
    try:
        found = finished_manifest(folder)
    except UserError:
        return
    assert found.shards[0].name == 'shard-00000.tar' and found.pictures == whole.pictures


def test_a_set_without_the_hash_is_completed(
    source: Path, prepared: Path, copied: Path, tool
) -> None:
    change_manifest(copied, lambda manifest: manifest.pop('list_sha256'))
    assert len(PreparedSet(copied)) == COUNT
    told = tool('prepare_dataset.py', source, copied, '--verify')
    assert told.returncode == 0 and 'their list has no hash: ' in told.stdout
    times = {path.name: path.stat().st_mtime_ns for path in copied.glob('*.tar')}
    prepare(source, copied, **OPTIONS)
    assert digest(copied) == digest(prepared)
    assert times == {path.name: path.stat().st_mtime_ns for path in copied.glob('*.tar')}


def test_a_changed_shard_is_not_taken_for_a_good_one(
    source: Path, prepared: Path, copied: Path
) -> None:
    """Where the set is mended for another reason, too."""
    path = copied / 'shard-00002.tar'
    data = bytearray(path.read_bytes())
    data[read_shard(path).starts[1] + 300] ^= 1
    path.write_bytes(data)
    (copied / 'pictures').unlink()
    prepare(source, copied, **OPTIONS)
    assert digest(copied) == digest(prepared)


def test_a_shard_of_other_pictures_is_made_again(
    source: Path, prepared: Path, copied: Path
) -> None:
    shutil.copy(copied / 'shard-00001.tar', copied / 'shard-00002.tar')
    change_manifest(copied, lambda manifest: manifest.update(complete=False))
    prepare(source, copied, **OPTIONS)
    assert digest(copied) == digest(prepared)


def test_a_shard_that_may_not_be_read(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> str:
        raise PermissionError(13, 'Permission denied', str(path))

    monkeypatch.setattr('symmim_mm.datasets.shards.reader.file_sha256', forbidden)
    with pytest.raises(UserError, match='shard-00000.tar cannot be read .Permission denied'):
        verify(copied)
