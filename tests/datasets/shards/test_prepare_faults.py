"""Making shards: images without an end, killed processes, full disks, Ctrl-C."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from encoded_images import drawn, jpeg
from paths import ROOT
from processes import WAIT_S, wait_until
from shard_samples import OPTIONS

from symmim_mm.datasets.folder_index import open_index
from symmim_mm.datasets.folder_scan import EXTENSIONS
from symmim_mm.datasets.shards.manifest import read_manifest
from symmim_mm.datasets.shards.prepare import LOCK, prepare
from symmim_mm.datasets.shards.reader import verify
from symmim_mm.utils.errors import Fault, UserError
from symmim_mm.utils.locks import file_lock


def with_pipes(source: Path, copied: Path) -> list[Path]:
    """A copy whose PNGs cannot be read to their end: they became pipes after they were listed."""
    shutil.copytree(source, copied)
    folders = [copied, *(path for path in copied.rglob('*') if path.is_dir())]
    for folder in folders:
        os.utime(folder, (10**9, 10**9))
    open_index(os.path.realpath(copied), EXTENSIONS, labeled=False)
    pipes = sorted(copied.rglob('*.png'))
    for pipe in pipes:
        pipe.unlink()
        os.mkfifo(pipe)
    for folder in folders:
        os.utime(folder, (10**9, 10**9))
    return pipes


def test_image_that_does_not_end(source: Path, tmp_path: Path) -> None:
    out = tmp_path / 'set'
    pipes = with_pipes(source, tmp_path / 'source')
    with pytest.raises(Fault) as error:
        prepare(tmp_path / 'source', out, **OPTIONS, jobs=2, limit_s=2)
    paths, rest = str(error.value).split(' was not done after 2 seconds: ')
    assert set(map(Path, paths.split(', '))) <= set(pipes)
    assert rest == 'fix or remove it; run the same command again to continue'
    assert not list(out.glob('.*.part'))


def test_process_that_is_killed(source: Path, tmp_path: Path) -> None:
    """The image that it was preparing is named, and none of those of the other process."""
    pipes = with_pipes(source, tmp_path / 'source')
    writers = [os.open(pipe, os.O_RDWR) for pipe in pipes]  # so that who reads them waits
    killed = []

    def kill_one() -> None:
        assert wait_until(lambda: len(readers(pipes)) == 2)
        process, image = readers(pipes).popitem()
        killed.append(image)
        os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(Fault) as error:
        prepare(tmp_path / 'source', tmp_path / 'set', short_side=48, shard_images=1, jobs=2)
    killer.join()
    for writer in writers:
        os.close(writer)
    assert str(error.value) == (
        f'a process was killed by SIGKILL while preparing {killed[0]}; if that happens again, fix '
        'or remove it; if memory is short, use fewer --jobs; run the same command again to continue'
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


@pytest.mark.slow
def test_full_disk(tool, source: Path, small_disk: Callable[[str], Path]) -> None:
    disk = small_disk('60k')
    options = ('--short-side=48', '--shard-images=5')
    done = tool('prepare_dataset.py', source, disk / 'out', *options)
    assert done.returncode == 1 and ' shards, ' not in done.stdout
    assert done.stderr.startswith('error: No space left on device: make room, then start it again')
    left = {path.name for path in (disk / 'out').iterdir()}
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
    command += ['--short-side=64', '--shard-images=20', '--jobs=2']
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
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
    manifest = prepare(root, out, short_side=64, shard_images=20)
    assert manifest.images == 600 and verify(out).images == 600
    assert not list(out.glob('.*.part'))


def test_two_at_once(source: Path, tmp_path: Path) -> None:
    (tmp_path / 'set').mkdir()
    with (
        file_lock(tmp_path / 'set' / LOCK),
        pytest.raises(UserError, match='another process is writing'),
    ):
        prepare(source, tmp_path / 'set')
