"""Making prepared sets: every picture once, the same bytes, stops, faults and mistakes."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import simplejpeg
from encoded_pictures import drawn, jpeg
from PIL import Image
from prepared_samples import COUNT, OPTIONS, digest, write_source
from processes import WAIT_S, wait_until

from symmim_mm.data.folder_index import open_index
from symmim_mm.data.indexed_folder import IndexedFolder
from symmim_mm.data.picture_region import PictureError
from symmim_mm.data.prepare import EXTENSIONS, prepare
from symmim_mm.data.prepared_picture import prepare_picture
from symmim_mm.data.prepared_set import PreparedSet, read_manifest, verify
from symmim_mm.data.shard_writer import read_shard
from symmim_mm.errors import Fault, UserError

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
    prepare(copied, out, **OPTIONS)
    assert digest(out) == digest(prepared)


def with_pipes(source: Path, copied: Path) -> list[Path]:
    """A copy whose PNGs cannot be read to their end: they became pipes after they were listed."""
    shutil.copytree(source, copied)
    folders = [copied, *(path for path in copied.rglob('*') if path.is_dir())]
    for folder in folders:
        os.utime(folder, (10**9, 10**9))
    open_index(os.path.realpath(copied), EXTENSIONS, labelled=False)
    pipes = sorted(copied.rglob('*.png'))
    for pipe in pipes:
        pipe.unlink()
        os.mkfifo(pipe)
    for folder in folders:
        os.utime(folder, (10**9, 10**9))
    return pipes


@pytest.mark.parametrize('jobs', [1, 2])
def test_picture_that_does_not_end(source: Path, tmp_path: Path, jobs: int) -> None:
    out = tmp_path / 'set'
    pipes = with_pipes(source, tmp_path / 'source')
    with pytest.raises(Fault) as error:
        prepare(tmp_path / 'source', out, **OPTIONS, jobs=jobs, limit_s=1)
    told, rest = str(error.value).split(' was not done after 1 seconds: ')
    assert set(map(Path, told.split(', '))) <= set(pipes)
    assert rest == 'mend or remove it; call the same command again to go on'
    assert not list(out.glob('.*.part'))


def test_process_that_is_killed(source: Path, tmp_path: Path) -> None:
    """The picture that it was preparing is named, and none of those of the other process."""
    pipes = with_pipes(source, tmp_path / 'source')
    writers = [os.open(pipe, os.O_RDWR) for pipe in pipes]  # so that who reads them waits
    killed = []

    def kill_one() -> None:
        assert wait_until(lambda: len(readers(pipes)) == 2)
        process, picture = readers(pipes).popitem()
        killed.append(picture)
        os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(Fault) as error:
        prepare(tmp_path / 'source', tmp_path / 'set', short_side=48, shard_pictures=1, jobs=2)
    killer.join()
    for writer in writers:
        os.close(writer)
    assert str(error.value) == (
        f'a process was killed by SIGKILL, preparing {killed[0]}; if one dies there again, mend '
        'or remove it; if the memory is short, fewer --jobs help; '
        'call the same command again to go on'
    )


def readers(paths: list[Path]) -> dict[int, str]:
    """Processes below this one -> which of some files each has open."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(OSError):
            opened = {os.readlink(entry) for entry in Path(f'/proc/{child.pid}/fd').iterdir()}
            for path in opened & set(map(str, paths)):
                found[child.pid] = path
    return found


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
    )
    assert wait_until(lambda: list(out.glob('*.tar')))
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, how)
    _, errors = process.communicate(timeout=WAIT_S)
    if how == signal.SIGINT:
        assert process.returncode == 130 and errors.strip() == 'interrupted'
        assert not list(out.glob('.*.part'))
    assert not read_manifest(out)['complete']
    kept = len(list(out.glob('*.tar')))
    assert 0 < kept < 30
    # Workers end with their parent, so that nobody holds the lock or writes on.
    assert wait_until(lambda: not any(child.is_running() for child in children))
    manifest = prepare(root, out, short_side=64, shard_pictures=20)
    assert manifest['pictures'] == 600 and verify(out) == (30, 600)
    assert not list(out.glob('.*.part'))


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
