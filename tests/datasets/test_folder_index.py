"""The index of a folder is kept, shared by processes, and notices every change of the folder."""

import os
import pickle
import shutil
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
from image_trees import age, grow, infos, stock_dataset
from torch.utils.data import DataLoader

from symmim_mm.datasets import folder_index
from symmim_mm.datasets.image_folder import ImageFolder
from symmim_mm.datasets.image_table import write_table


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list:
    """Grows with every walk through a folder."""
    made, scan = [], folder_index._scan
    monkeypatch.setattr(folder_index, '_scan', lambda *args: made.append(args) or scan(*args))
    return made


def test_a_folder_is_walked_once(
    tree: Path, scans: list, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        ImageFolder(data_root=str(tree))
    assert len(scans) == 1
    assert sorted(path.suffix for path in cache.iterdir()) == ['.index', '.lock']
    ImageFolder(data_root=str(tree), with_label=False)
    ImageFolder(data_root=str(tree), extensions=('.png',))
    assert len(scans) == 3  # each with a list of its own
    monkeypatch.chdir(tree.parent)
    ImageFolder(data_root='tree')
    assert len(scans) == 3


CHANGES = {
    'a new image': lambda tree: (tree / 'b/3.jpg').touch(),
    'an image removed': lambda tree: (tree / 'b/2.jpg').unlink(),
    'an image renamed': lambda tree: (tree / 'b/2.jpg').rename(tree / 'b/4.jpg'),
    'an image deep below': lambda tree: (tree / 'a/deep/er/new.jpg').touch(),
    'a new class': lambda tree: grow(tree, ['new/1.jpg'], old=False),
    'a class removed': lambda tree: shutil.rmtree(tree / 'b'),
    'a class renamed': lambda tree: (tree / 'b').rename(tree / 'q'),
    'a hidden folder': lambda tree: grow(tree, ['a/.more/1.jpg'], old=False),
}


@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('labels', [True, False])
def test_notices(tree: Path, scans: list, change: str, labels: bool) -> None:
    options = dict(data_root=str(tree), with_label=labels)
    ImageFolder(**options)
    CHANGES[change](tree)
    assert infos(ImageFolder(**options)) == infos(stock_dataset(**options))
    assert len(scans) == 2
    age(tree)  # also the time of a folder going back is a change
    ImageFolder(**options)
    ImageFolder(**options)
    assert len(scans) == 3


def test_a_folder_that_has_just_changed_is_walked_again(tree: Path, scans: list) -> None:
    """Its time stamp may be too coarse to tell one more change."""
    soon = time.time() + 60  # a change that stays new however long the test takes
    os.utime(tree / 'b', (soon, soon))
    ImageFolder(data_root=str(tree))
    ImageFolder(data_root=str(tree))
    assert len(scans) == 2


@pytest.mark.parametrize(
    'damage', [
        lambda file: file.write_bytes(b''),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(b'x' * 500),
        lambda file: write_table(file, {'version': 1}, {}),
    ]
)  # fmt: skip
def test_damaged_and_other_files_are_made_anew(tree: Path, scans: list, cache: Path, damage):
    expected = infos(ImageFolder(data_root=str(tree)))
    damage(next(cache.glob('*.index')))
    for _ in range(2):
        assert infos(ImageFolder(data_root=str(tree))) == expected and len(scans) == 2


def test_a_cache_that_cannot_be_written(tree: Path, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    dataset = ImageFolder(data_root=str(tree), index_cache=str(tmp_path / 'file' / 'cache'))
    assert infos(dataset) == infos(stock_dataset(data_root=str(tree)))
    assert infos(pickle.loads(pickle.dumps(dataset))) == infos(dataset)


class Paths(ImageFolder):
    def prepare_data(self, idx: int) -> str:
        return self.get_data_info(idx)['img_path']


def test_workers_read_it(tree: Path) -> None:
    dataset = Paths(data_root=str(tree), with_label=False)
    expected = [info['img_path'] for info in infos(dataset)]
    assert sum(DataLoader(dataset, 3, num_workers=2), []) == expected
    spawned = pickle.loads(pickle.dumps(dataset))
    assert [info['img_path'] for info in infos(spawned)] == expected


def test_of_several_processes_one_walks(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = folder_index._scan

    def slow_scan(*args: object) -> folder_index.ImageTable:
        with open(tmp_path / 'scans', 'a') as file:
            file.write(f'{os.getpid()}\n')
        time.sleep(0.5)
        return scan(*args)

    def child() -> None:
        os._exit(len(folder_index.open_index(str(tree), ('.jpg', '.png'), labeled=True)))

    monkeypatch.setattr(folder_index, '_scan', slow_scan)
    processes = [get_context('fork').Process(target=child) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [9] * 3
    assert len((tmp_path / 'scans').read_text().split()) == 1
