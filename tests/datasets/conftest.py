"""Fixtures of datasets: an index cache of the test's own, folders of images, and shards."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from image_trees import grow
from sample_folders import SMALL
from shard_samples import OPTIONS, write_source

from symmim_mm.datasets.sample.generate import write_sample_data
from symmim_mm.datasets.shards.prepare import prepare


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the indices of folders out of the user's home; where they are instead."""
    folder = tmp_path_factory.mktemp('cache')
    monkeypatch.setenv('XDG_CACHE_HOME', str(folder))
    return folder / 'symmim_mm' / 'index'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files named as images in class folders, all of them empty."""
    return grow(tmp_path / 'tree')


@pytest.fixture(scope='session')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images in class folders, as shards are made of."""
    return write_source(tmp_path_factory.mktemp('source'))


@pytest.fixture(scope='session')
def shards(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of ``source``; not to be changed."""
    out = tmp_path_factory.mktemp('shards') / 'set'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(out.parent / 'cache'))
        prepare(source, out, **OPTIONS)
    return out


@pytest.fixture
def copied(shards: Path, tmp_path: Path) -> Path:
    """A copy of ``shards``."""
    return Path(shutil.copytree(shards, tmp_path / 'set'))


@pytest.fixture(scope='session')
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest sample data; not to be changed."""
    out = tmp_path_factory.mktemp('small') / 'data'
    write_sample_data(out, **SMALL)
    return out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system of a size such as ``'60k'``; skips the test where that is forbidden."""
    disk = tmp_path / 'disk'
    disk.mkdir()

    def mount(size: str) -> Path:
        options = ['-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(disk)]
        if not shutil.which('mount') or subprocess.run(['mount', *options]).returncode:
            pytest.skip('mounting a small file system is not permitted here')
        return disk

    yield mount
    if disk.is_mount():
        subprocess.run(['umount', str(disk)], check=True)
