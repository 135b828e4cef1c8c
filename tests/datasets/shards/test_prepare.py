"""Making prepared sets: every picture once, the same bytes, and mistakes."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from encoded_pictures import drawn, jpeg
from PIL import Image
from prepared_samples import COUNT, OPTIONS, digest, write_source

from symmim_mm.datasets.image_folder import IndexedFolder
from symmim_mm.datasets.shards.image import prepare_picture
from symmim_mm.datasets.shards.manifest import read_manifest
from symmim_mm.datasets.shards.prepare import prepare
from symmim_mm.datasets.shards.reader import PreparedSet
from symmim_mm.datasets.shards.writer import read_shard
from symmim_mm.datasets.transforms.decode_region import PictureError
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
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def test_the_same_bytes_every_time(source: Path, prepared: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / 'again', **OPTIONS)
    assert digest(tmp_path / 'again') == digest(prepared)
    prepare(source, tmp_path / 'other', **OPTIONS, seed=1)
    assert digest(tmp_path / 'other') != digest(prepared)


@pytest.mark.slow
def test_in_several_processes(source: Path, prepared: Path, tmp_path: Path) -> None:
    seen = []
    prepare(
        source, tmp_path / 'set', **OPTIONS, jobs=2, progress=lambda *numbers: seen.append(numbers)
    )
    assert digest(tmp_path / 'set') == digest(prepared)
    assert seen[-1] == (COUNT, COUNT) and len(seen) == 5


def test_nothing_is_done_twice(source: Path, prepared: Path, tmp_path: Path) -> None:
    copied, out = tmp_path / 'source', tmp_path / 'set'
    shutil.copytree(source, copied)
    prepare(copied, out, **OPTIONS)
    times = {path.name: path.stat().st_mtime_ns for path in out.glob('*.tar')}
    for path in copied.rglob('*.*'):
        path.write_text('cannot be prepared again')
    prepare(copied, out, **OPTIONS)
    (out / 'pictures').unlink()
    prepare(copied, out, **OPTIONS)
    assert times == {path.name: path.stat().st_mtime_ns for path in out.glob('*.tar')}
    assert digest(out) == digest(prepared)


def test_goes_on(source: Path, prepared: Path, tmp_path: Path) -> None:
    copied, out = tmp_path / 'source', tmp_path / 'set'
    shutil.copytree(source, copied)
    out.mkdir()
    (out / '.manifest.json.0a1b2c3d.part').write_bytes(b'the very first write was killed')
    name = os.fsdecode(read_shard(prepared / 'shard-00002.tar').names[1])
    bad = next(copied.glob(f'{os.path.splitext(name)[0]}.*'))
    good = bad.read_bytes()
    bad.write_text('no picture')
    with pytest.raises(PictureError, match=f'{bad.name} is not a picture'):
        prepare(copied, out, **OPTIONS)
    left = {path.name for path in out.iterdir()}
    assert left == {'manifest.json', 'shard-00000.tar', 'shard-00001.tar', '.lock'}
    with pytest.raises(UserError, match='is not prepared to the end: call tools/prepare_dataset'):
        IndexedFolder(data_root=str(out))
    bad.write_bytes(good)
    # A shard that is no whole tar file is made again, and so is what a kill left behind.
    (out / 'shard-00001.tar').write_bytes((out / 'shard-00001.tar').read_bytes()[:700])
    (out / '.shard-00002.tar.0a1b2c3d.part').write_bytes(b'half')
    # One that is whole is not.
    for name in map(os.fsdecode, read_shard(out / 'shard-00000.tar').names):
        next(copied.glob(f'{os.path.splitext(name)[0]}.*')).write_text('cannot be prepared again')
    prepare(copied, out, **OPTIONS)
    assert digest(out) == digest(prepared)


def test_unreadable_pictures(source: Path, tmp_path: Path) -> None:
    root = tmp_path / 'pictures'
    (root / 'a').mkdir(parents=True)
    for index in range(3):
        (root / 'a' / f'{index}.jpg').write_bytes(jpeg(drawn(60, 60, index)))
    (root / 'a' / '1.jpg').write_text('no picture')
    out = tmp_path / 'set'
    with pytest.raises(PictureError, match='a/1.jpg is not a picture'):
        prepare(root, out, short_side=48)
    manifest = prepare(root, out, short_side=48, skip_unreadable=True)
    assert manifest['skipped'] == ['a/1.jpg'] and manifest['pictures'] == 2
    assert len(IndexedFolder(data_root=str(out))) == 2
    (out / 'pictures').unlink()
    with pytest.raises(UserError, match='pictures cannot be read .No such file'):
        PreparedSet(out)


def test_without_classes(tmp_path: Path) -> None:
    (tmp_path / 'in' / 'a').mkdir(parents=True)
    for name in ('1.jpg', 'a/2.jpg'):
        (tmp_path / 'in' / name).write_bytes(jpeg(drawn(30, 30)))
    prepare(tmp_path / 'in', tmp_path / 'out')
    assert len(IndexedFolder(data_root=str(tmp_path / 'out'), with_label=False)) == 2
    with pytest.raises(UserError, match='was prepared from pictures without classes'):
        IndexedFolder(data_root=str(tmp_path / 'out'))


def test_noise_is_encoded_too() -> None:
    """Pictures that JPEG makes larger, which overrun the buffer of Pillow's optimising encoder."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 260, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, 'PNG')
    data = prepare_picture(buffer.getvalue(), 'noise', 256, quality=100)
    found = simplejpeg.decode_jpeg(data, 'RGB').astype(float)
    expected = np.asarray(Image.fromarray(noise).resize((256, 295), Image.LANCZOS))
    assert len(data) > 256 * 295 and np.abs(found - expected).max() < 8


def test_mistakes(source: Path, prepared: Path, tmp_path: Path) -> None:
    for options, message in (
        (dict(short_side=8), 'the short side must be 32 to 4096, got 8'),
        (dict(quality=0), 'the quality must be 1 to 100'),
        (dict(jobs=0), 'jobs must be 1 to'),
        (dict(shard_pictures=0), 'pictures of a shard must be'),
        (dict(seed=-1), 'the seed must be'),
    ):
        with pytest.raises(UserError, match=message):
            prepare(source, tmp_path / 'out', **options)
    with pytest.raises(UserError, match='options .short_side 48, now 64.: remove it or'):
        prepare(source, prepared, **dict(OPTIONS, short_side=64))
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'file').touch()
    with pytest.raises(UserError, match='is not empty and holds no prepared set'):
        prepare(source, tmp_path / 'mine')
    with pytest.raises(UserError, match='there is no folder'):
        prepare(tmp_path / 'none', tmp_path / 'out')
    with pytest.raises(UserError, match='no pictures below'):
        prepare(tmp_path / 'mine', tmp_path / 'out')
    with pytest.raises(UserError, match='cannot write .*file/out: Not a directory'):
        prepare(source, tmp_path / 'mine' / 'file' / 'out')
    with pytest.raises(UserError, match='holds no prepared pictures'):
        PreparedSet(tmp_path / 'mine')


def test_other_formats_and_sources(source: Path, tmp_path: Path) -> None:
    out = tmp_path / 'set'
    prepare(source, out, **OPTIONS)
    manifest = read_manifest(out)
    (out / 'manifest.json').write_text(json.dumps(dict(manifest, prepared_pictures=7)))
    with pytest.raises(UserError, match='prepared in format 7, this is 1'):
        PreparedSet(out)
    other = dict(manifest, source=dict(manifest['source'], pictures=9))
    (out / 'manifest.json').write_text(json.dumps(other))
    with pytest.raises(UserError, match='another source .pictures 9, now 23'):
        prepare(source, out, **OPTIONS)


@pytest.mark.slow
def test_command(tool, source: Path, tmp_path: Path) -> None:
    arguments = (source, tmp_path / 'set', '--short-side=48', '--shard-pictures=5')
    done = tool('prepare_dataset.py', *arguments)
    assert done.returncode == 0, done.stderr
    assert f'{tmp_path}/set: {COUNT} pictures in 5 shards, 0.00 GB' in done.stdout
    checked = tool('prepare_dataset.py', *arguments[:2], '--verify')
    assert checked.stdout.endswith(f'5 shards with {COUNT} pictures are as they were written\n')
    wrong = tool('prepare_dataset.py', *arguments, '--quality=50')
    assert wrong.returncode == 2 and wrong.stderr.count('\n') == 1
