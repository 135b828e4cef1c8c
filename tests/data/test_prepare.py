"""Making prepared sets: every picture once, the same bytes, stops, faults and mistakes."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from encoded_pictures import drawn, jpeg
from PIL import Image
from prepared_samples import COUNT, OPTIONS, digest, write_source
from processes import WAIT_S, wait_until

from symmim_mm.data import shard_writer
from symmim_mm.data.indexed_folder import IndexedFolder
from symmim_mm.data.picture_region import PictureError
from symmim_mm.data.prepare import prepare
from symmim_mm.data.prepared_picture import prepare_picture
from symmim_mm.data.prepared_set import PreparedSet, read_manifest, verify
from symmim_mm.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


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


def test_nothing_is_done_twice(source: Path, prepared: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / 'set'
    prepare(source, out, **OPTIONS)
    times = {path.name: path.stat().st_mtime_ns for path in out.glob('*.tar')}
    monkeypatch.setattr(shard_writer, 'prepare_picture', None)  # would fail if it were called
    prepare(source, out, **OPTIONS)
    assert times == {path.name: path.stat().st_mtime_ns for path in out.glob('*.tar')}


def test_goes_on(source: Path, prepared: Path, tmp_path: Path, monkeypatch) -> None:
    out, made = tmp_path / 'set', []
    whole = shard_writer.prepare_picture
    out.mkdir()
    (out / '.manifest.json.0a1b2c3d.part').write_bytes(b'the very first write was killed')

    def stop_at_13(*args) -> bytes:
        made.append(args)
        if len(made) == 13:
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(shard_writer, 'prepare_picture', stop_at_13)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, out, **OPTIONS)
    left = {path.name for path in out.iterdir()}
    assert left == {'manifest.json', 'shard-00000.tar', 'shard-00001.tar', '.lock'}
    with pytest.raises(UserError, match='is not prepared to the end: call tools/prepare_dataset'):
        IndexedFolder(data_root=str(out))
    monkeypatch.setattr(shard_writer, 'prepare_picture', lambda *a: made.append(a) or whole(*a))
    # A shard that is no whole tar file is made again, and so is what a kill left behind.
    (out / 'shard-00001.tar').write_bytes((out / 'shard-00001.tar').read_bytes()[:700])
    (out / '.shard-00002.tar.0a1b2c3d.part').write_bytes(b'half')
    prepare(source, out, **OPTIONS)
    assert digest(out) == digest(prepared)
    assert len(made) == 13 + COUNT - 5


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
    with pytest.raises(UserError, match='pictures is damaged'):
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
def test_full_disk(tool, source: Path, tmp_path: Path) -> None:
    disk = tmp_path / 'disk'
    disk.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=60k', 'tmpfs', str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip('mounting a small file system is not permitted here')
    try:
        done = tool(
            'prepare_dataset.py', source, disk / 'out', '--short-side=48', '--shard-pictures=5'
        )
        left = {path.name for path in (disk / 'out').iterdir()}
    finally:
        subprocess.run(['umount', str(disk)], check=True)
    assert done.returncode == 2 and ' shards, ' not in done.stdout
    assert done.stderr.startswith(f'error: cannot write {disk}/out: No space left on device; ')
    assert not any(name.endswith('.part') for name in left) and 'shard-00000.tar' in left


@pytest.mark.slow
@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGKILL])
def test_interruption(source: Path, tmp_path: Path, how: signal.Signals) -> None:
    root, out = tmp_path / 'many', tmp_path / 'set'
    root.mkdir()
    data = jpeg(drawn(600, 800))  # so large that the first shard is not soon the last
    for index in range(600):
        (root / f'{index:03d}.jpg').write_bytes(data)
    command = [sys.executable, ROOT / 'tools/prepare_dataset.py', root, out]
    command += ['--short-side=64', '--shard-pictures=20', '--jobs=2']
    process = subprocess.Popen(
        [*map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs deaf to interrupts, and their children inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert wait_until(lambda: list(out.glob('*.tar')))
    os.kill(process.pid, how)
    _, errors = process.communicate(timeout=WAIT_S)
    if how == signal.SIGINT:
        assert process.returncode == 130 and errors.strip() == 'interrupted'
        assert not list(out.glob('.*.part'))
    assert not read_manifest(out)['complete']
    kept = len(list(out.glob('*.tar')))
    assert 0 < kept < 30
    # Workers end with their parent, so that nobody holds the lock or writes on.
    assert wait_until(lambda: not any(str(out) in line for line in _commands()))
    manifest = prepare(root, out, short_side=64, shard_pictures=20)
    assert manifest['pictures'] == 600 and verify(out) == (30, 600)
    assert not list(out.glob('.*.part'))


def _commands() -> list[str]:
    found = []
    for path in Path('/proc').glob('[0-9]*/maps'):
        try:
            found.append(path.with_name('cmdline').read_text())
        except OSError:
            continue
    return found


def test_two_at_once(source: Path, tmp_path: Path) -> None:
    from symmim_mm.data.prepare import _alone

    (tmp_path / 'set').mkdir()
    with _alone(tmp_path / 'set'), pytest.raises(UserError, match='another process is writing'):
        prepare(source, tmp_path / 'set')


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
