"""Fixtures of datasets: an index cache of the test's own, a folder of images, and shards of it."""

import shutil
from pathlib import Path

import pytest
from shard_samples import OPTIONS, write_source

from symmim_mm.datasets.shards.prepare import prepare


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the indices of folders out of the user's home; where they are instead."""
    folder = tmp_path_factory.mktemp('cache')
    monkeypatch.setenv('XDG_CACHE_HOME', str(folder))
    return folder / 'symmim_mm' / 'index'


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
