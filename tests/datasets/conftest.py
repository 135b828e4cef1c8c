"""Fixtures of datasets: an index cache of the test's own, folders of images, and shards."""

import shutil
from pathlib import Path

import pytest
from image_trees import grow
from shard_samples import OPTIONS, write_source

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
