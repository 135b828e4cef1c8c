"""Shards that are not as they were written: refused in one line, and repaired by preparing."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_samples import COUNT, OPTIONS, digest, write_source

from symmim_mm.datasets.image_folder import ImageFolder
from symmim_mm.datasets.image_table import read_table, write_table
from symmim_mm.datasets.shards.manifest import finished_manifest, read_manifest
from symmim_mm.datasets.shards.prepare import prepare
from symmim_mm.datasets.shards.reader import ImageShards, verify
from symmim_mm.datasets.transforms.crops import LoadRandomResizedCrop
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.utils.errors import UserError

LIST, SHARD = 'images.safetensors', 'shard-00003.tar'
REPAIR = 'run tools/prepare_dataset.py with the same options again'


def change_manifest(out: Path, change: Callable[[dict], object]) -> None:
    manifest = read_manifest(out)
    change(manifest)
    (out / 'manifest.json').write_text(json.dumps(manifest))


def refused(out: Path, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        ImageShards(out)
    assert REPAIR in str(error.value)


def repaired(out: Path, source: Path, shards: Path) -> None:
    prepare(source, out, **OPTIONS)
    assert digest(out) == digest(shards) and verify(out).images == COUNT


def shard(**values: object) -> Callable[[dict], None]:
    return lambda manifest: manifest['shards'][2].update(values)


def swap_labels(out: Path) -> None:
    meta, columns = read_table(out / LIST)
    write_table(out / LIST, meta, columns | dict(labels=columns['labels'][::-1].copy()))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


# What is done to a dataset -> what is said of it, before it is repaired.
DAMAGES = {
    'swapped labels': (  # in range, so that nothing but the hash shows it
        swap_labels,
        f'set/{LIST} is not the list that manifest.json has the SHA-256 of',
    ),
    'no table': (lambda out: (out / LIST).write_bytes(b'no table'), f'{LIST} is damaged'),
    'no list': (lambda out: (out / LIST).unlink(), f'No such file .*{LIST}'),
    'a pipe as list': (lambda out: pipe(out / LIST), f'not a regular file: .*{LIST}'),
    'a pipe as shard': (lambda out: pipe(out / SHARD), f'{SHARD} is missing or no file: '),
    'no shard': (lambda out: (out / SHARD).unlink(), f'{SHARD} is missing'),
    'a cut shard': (lambda out: os.truncate(out / SHARD, 512), f'{SHARD} has 512 bytes instead of'),
    'a changed manifest': (lambda out: change_manifest(out, shard(bytes=1)), 'bytes instead of 1'),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_damage_is_refused_and_repaired(
    source: Path, shards: Path, copied: Path, damage: str
) -> None:
    DAMAGES[damage][0](copied)
    for use in (verify, lambda place: ImageFolder(data_root=str(place))):
        with pytest.raises(UserError, match=DAMAGES[damage][1]):
            use(copied)
    repaired(copied, source, shards)


def test_manifest_that_is_a_pipe(tmp_path: Path) -> None:
    """In a folder of images it is none of ours."""
    folder = tmp_path / 'images'
    folder.mkdir()
    write_source(folder)
    os.mkfifo(folder / 'manifest.json')
    assert len(ImageFolder(data_root=str(folder))) == COUNT
    with pytest.raises(UserError, match='is not empty and holds no shards'):
        prepare(tmp_path / 'images' / 'a', folder)


FIELDS = {
    'bytes': (shard(bytes=float('inf')), 'shards.2.bytes: should be a valid integer, got inf'),
    'a path': (shard(name='/etc/hostname'), 'shards.2.name must be shard-00002.tar'),
    'a hash': (shard(sha256='00'), "shards.2.sha256: String should match .*, got '00'"),
    'nothing': (lambda found: found['shards'][2].pop('name'), 'missing field: shards.2.name'),
    'one more': (
        lambda manifest: manifest['shards'].append(
            dict(manifest['shards'][4], name='shard-00005.tar')
        ),
        'images must be the sum of those of the shards',
    ),
}  # fmt: skip


@pytest.mark.parametrize('change', FIELDS)
def test_changed_manifest(change: str, copied: Path) -> None:
    change_manifest(copied, FIELDS[change][0])
    refused(copied, f'set/manifest.json is damaged: .*{FIELDS[change][1]}')


def test_a_manifest_of_other_classes(source: Path, copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest.update(classes=['a']))
    with pytest.raises(UserError, match='shards with another classes'):
        prepare(source, copied, **OPTIONS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda part: st.lists(part) | st.dictionaries(st.text(max_size=3), part),
    max_leaves=4,
)


@given(st.data(), JSON)
def test_any_value_in_a_manifest(shards: Path, tmp_path_factory, data, value: object) -> None:
    """It is as it was, or a UserError."""
    manifest = read_manifest(shards)
    whole = finished_manifest(shards)
    holder = data.draw(st.sampled_from([manifest, *manifest['shards']]))
    holder[data.draw(st.sampled_from(sorted(holder)))] = value
    folder = tmp_path_factory.mktemp('any')
    (folder / 'manifest.json').write_text(json.dumps(manifest))
    try:
        found = finished_manifest(folder)
    except UserError:
        return
    assert found.shards[0].name == 'shard-00000.tar' and found.images == whole.images


def test_changed_bytes(copied: Path) -> None:
    found = ImageShards(copied)
    path, start = copied / 'shard-00000.tar', int(found.columns['start'][0])
    data = bytearray(path.read_bytes())
    data[start : start + 2] = b'xx'
    path.write_bytes(data)
    with pytest.raises(UserError, match='shard-00000.tar is damaged'):
        verify(copied)
    dataset = ImageFolder(data_root=str(copied), pipeline=[LoadRandomResizedCrop(16)])
    with pytest.raises(ImageError, match='shard-00000.tar/.* is not an image that can be'):
        dataset[0]
    os.truncate(path, start + 5)
    with pytest.raises(ImageError, match='ends too early'):
        found.read(0)


def test_a_changed_shard_is_not_taken_for_a_good_one(
    source: Path, shards: Path, copied: Path
) -> None:
    """Where the dataset is repaired for another reason, too."""
    path = copied / 'shard-00002.tar'
    data = bytearray(path.read_bytes())
    data[ImageShards(copied).columns['start'][11] + 300] ^= 1
    path.write_bytes(data)
    (copied / LIST).unlink()
    repaired(copied, source, shards)


def test_a_shard_of_other_images_is_made_again(source: Path, shards: Path, copied: Path) -> None:
    shutil.copy(copied / 'shard-00001.tar', copied / 'shard-00002.tar')
    change_manifest(copied, lambda manifest: manifest.update(complete=False))
    repaired(copied, source, shards)
