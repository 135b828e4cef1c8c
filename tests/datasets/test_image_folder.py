"""The index gives what MMPretrain's CustomDataset gives, and notices every change of a folder."""

import hashlib
import os
import pickle
import shutil
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset
from torch.utils.data import DataLoader

from symmim_mm.datasets import folder_index
from symmim_mm.datasets.image_folder import ImageFolder
from symmim_mm.datasets.image_table import read_table, write_table
from symmim_mm.utils.errors import UserError

FILES = [
    'b/2.jpg', 'b/10.JPEG', 'b/1.png', 'a/x.jpg', 'a/deep/er/y.jpg', 'a/deep.jpg', 'a-b/z.jpg',
    'a/.hidden.jpg', 'a/notes.txt', 'a/.cache/w.jpg', 'é/ü.jpg', 'é/€ 1.jpg', 'top.jpg',
    'c/d/v.tif',
]  # fmt: skip


def grow(root: Path, names: list[str] = FILES, old: bool = True) -> Path:
    """Files, empty, in folders that changed an hour ago."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    if old:
        age(root)
    return root


def age(root: Path) -> None:
    for folder in [root, *(path for path in root.rglob('*') if path.is_dir())]:
        os.utime(folder, (time.time() - 3600, time.time() - 3600))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return grow(tmp_path / 'tree')


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list:
    """Grows with every walk through a folder."""
    made, scan = [], folder_index._scan
    monkeypatch.setattr(folder_index, '_scan', lambda *args: made.append(args) or scan(*args))
    return made


def stock_dataset(**options) -> CustomDataset:
    """MMPretrain's dataset, without the half second that it takes to serialize what it found."""
    return CustomDataset(**options, serialize_data=False)


def infos(dataset: CustomDataset) -> list[dict]:
    return [dataset.get_data_info(index) for index in range(len(dataset))]


@pytest.mark.parametrize('labels', [True, False])
@pytest.mark.parametrize('options', [{}, dict(extensions=('.TIF', '.png')), dict(indices=3)])
def test_as_custom_dataset(tree: Path, labels: bool, options: dict) -> None:
    options = dict(data_root=str(tree.parent), data_prefix='tree', with_label=labels, **options)
    stock, ours = stock_dataset(**options), ImageFolder(**options)
    again = ImageFolder(**options)
    assert infos(stock) == infos(ours) == infos(again)
    assert stock.metainfo == ours.metainfo == again.metainfo
    assert stock.get_data_info(-1) == ours.get_data_info(-1)
    if labels:
        assert np.array_equal(stock.get_gt_labels(), ours.get_gt_labels())
        assert stock.class_to_idx == ours.class_to_idx
        assert stock.folder_to_idx == ours.folder_to_idx
        assert stock.get_cat_ids(1) == ours.get_cat_ids(1)
    for subset in (1, -1, 0, [1, 0, 1]):
        assert infos(stock.get_subset(subset)) == infos(ours.get_subset(subset))
    part = ours.get_subset([1, 0])
    part.get_subset_([1])
    assert part.get_data_info(0)['img_path'] == ours.get_data_info(0)['img_path']
    assert len(ours) == len(stock)


@pytest.mark.slow
@given(
    names=st.lists(
        st.lists(st.text('aAb-._é', min_size=1, max_size=3), min_size=1, max_size=3), max_size=12
    ),
    labels=st.booleans(),
)
def test_any_tree_in_the_order_of_custom_dataset(tmp_path_factory, names, labels: bool) -> None:
    root = tmp_path_factory.mktemp('tree')
    for parts in names:
        parts = [part if part.strip('.') else part + 'a' for part in parts]
        folder = root.joinpath('k', *(f'{part}d' for part in parts[:-1]))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{parts[-1]}.jpg').touch()
    options = dict(data_root=str(root), with_label=labels)
    try:
        stock = stock_dataset(**options)
    except RuntimeError:
        with pytest.raises(UserError, match='no images below'):
            ImageFolder(**options, index_cache=str(root / 'cache'))
        return
    assert infos(ImageFolder(**options, index_cache=str(root.parent / 'c'))) == infos(stock)


def test_walks_once(tree: Path, scans: list, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
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
    (tree / 'b/3.jpg').touch()
    soon = time.time() + 60  # a change that stays new however long the test takes
    os.utime(tree / 'b', (soon, soon))
    ImageFolder(data_root=str(tree))
    ImageFolder(data_root=str(tree))
    assert len(scans) == 2


def test_damaged_files_are_made_anew(tree: Path, scans: list, cache: Path) -> None:
    expected = infos(ImageFolder(data_root=str(tree)))
    file = next(cache.glob('*.index'))
    whole = file.read_bytes()
    for content in (b'', whole[:100], whole[:-1], b'x' * 500, whole[:8] + b'{' * 500):
        file.write_bytes(content)
        assert infos(ImageFolder(data_root=str(tree))) == expected
    assert len(scans) == 6 and read_table(file)[1].keys() == {'text', 'ends', 'labels'}


@pytest.mark.parametrize(
    'change', [
        lambda meta, columns: columns.update(more=columns['ends']),
        lambda meta, columns: columns.update(ends=columns['ends'] / 2),
        lambda meta, columns: columns.update(ends=columns['ends'][:-1]),
        lambda meta, columns: columns.update(labels=columns['labels'] + np.int32(9)),
        lambda meta, columns: meta.update(classes=None),
        lambda meta, columns: meta.update(folders={'\0': 1}),
        lambda meta, columns: meta.pop('folders'),
        lambda meta, columns: meta.pop('stamp'),
    ]
)  # fmt: skip
def test_other_tables_are_made_anew(tree: Path, scans: list, cache: Path, change) -> None:
    expected = infos(ImageFolder(data_root=str(tree)))
    file = next(cache.glob('*.index'))
    meta, columns = read_table(file)
    change(meta, columns)
    write_table(file, meta, columns)
    assert infos(ImageFolder(data_root=str(tree))) == expected
    assert infos(ImageFolder(data_root=str(tree))) == expected and len(scans) == 2


def test_a_cache_that_cannot_be_written(tree: Path, tmp_path: Path, scans: list) -> None:
    (tmp_path / 'file').touch()
    dataset = ImageFolder(data_root=str(tree), index_cache=str(tmp_path / 'file' / 'cache'))
    assert infos(dataset) == infos(stock_dataset(data_root=str(tree)))
    assert infos(pickle.loads(pickle.dumps(dataset))) == infos(dataset)


class Paths(ImageFolder):
    def prepare_data(self, idx: int) -> str:
        return self.get_data_info(idx)['img_path']


def test_workers_share_the_file(tree: Path) -> None:
    dataset = Paths(data_root=str(tree), with_label=False)
    expected = [info['img_path'] for info in infos(dataset)]
    assert sum(DataLoader(dataset, 3, num_workers=2), []) == expected
    data = pickle.dumps(dataset)  # as a spawned worker gets it
    assert len(pickle.dumps(dataset.index)) < 400  # the path of the file, not its content
    assert [info['img_path'] for info in infos(pickle.loads(data))] == expected


def test_a_worker_that_finds_another_list(tree: Path) -> None:
    data = pickle.dumps(ImageFolder(data_root=str(tree)).index)
    (tree / 'b/3.jpg').touch()
    ImageFolder(data_root=str(tree))
    with pytest.raises(UserError, match='changed while it was in use: start again'):
        pickle.loads(data)


def test_of_several_processes_one_walks(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = folder_index._scan

    def slow_scan(*args: object) -> folder_index.FolderIndex:
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


def test_an_annotation_file_is_left_to_custom_dataset(tree: Path, tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('b/2.jpg 1\na/x.jpg 0\n')
    options = dict(data_root=str(tree), ann_file=str(tmp_path / 'list.txt'))
    stock, ours = stock_dataset(**options), ImageFolder(**options)
    assert infos(stock) == infos(ours) and ours.index is None
    assert np.array_equal(stock.get_gt_labels(), ours.get_gt_labels())
    assert infos(ours.get_subset(1)) == infos(stock.get_subset(1))


def test_mistakes(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(UserError, match='there is no folder .*none'):
        ImageFolder(data_root=str(tmp_path / 'none'))
    grow(tmp_path / 'other', ['a/b.txt'])
    with pytest.raises(UserError, match='no images below .*other.*set extensions'):
        ImageFolder(data_root=str(tmp_path / 'other'))
    with pytest.raises(UserError, match='has 5 folders, but classes names 2'):
        ImageFolder(data_root=str(tree), classes=['a', 'b'])
    (tree / 'a' / 'round').symlink_to(tree)
    with pytest.raises(UserError, match='links to a folder around it: remove the link'):
        ImageFolder(data_root=str(tree))


def test_links_are_followed(tree: Path, tmp_path: Path) -> None:
    grow(tmp_path / 'elsewhere', ['1.jpg', 'more/2.jpg'])
    (tree / 'linked').symlink_to(tmp_path / 'elsewhere')
    (tree / 'b' / 'linked.jpg').symlink_to(tree / 'b' / '2.jpg')
    (tree / 'b' / 'dangling.jpg').symlink_to(tree / 'nothing')
    assert infos(ImageFolder(data_root=str(tree))) == infos(stock_dataset(data_root=str(tree)))


def test_from_a_config(tree: Path) -> None:
    dataset = DATASETS.build(dict(type='symmim_mm.ImageFolder', data_root=str(tree)))
    assert len(dataset) == 11 and dataset.metainfo['classes'] == ('a', 'a-b', 'b', 'c', 'é')
    assert 'Number of samples: \t11' in repr(dataset)


def test_an_empty_class_is_named(tree: Path, capfd: pytest.CaptureFixture) -> None:
    (tree / 'vacant').mkdir()
    ImageFolder(data_root=str(tree))
    assert 'no images in the folders vacant' in ''.join(capfd.readouterr())


def balanced(root: Path, counts: dict[str, int]) -> Path:
    return grow(root, [f'{name}/{i:03}.jpg' for name, n in counts.items() for i in range(n)])


def paths_of(data: ImageFolder) -> set[str]:
    root = data.img_prefix
    return {os.path.relpath(data.get_data_info(i)['img_path'], root) for i in range(len(data))}


def test_a_share_of_the_labels_is_balanced_nested_and_disjoint(tmp_path: Path) -> None:
    root = balanced(tmp_path / 'many', dict(cat=100, dog=50))

    def share(labels) -> ImageFolder:
        return ImageFolder(data_root=str(root), labels=labels)

    small, large, rest = share(0.1), share(0.5), share((0.5, 1.0))
    assert np.bincount(small.get_gt_labels()).tolist() == [10, 5]
    assert np.bincount(large.get_gt_labels()).tolist() == [50, 25]
    assert paths_of(small) < paths_of(large)
    assert not paths_of(large) & paths_of(rest)
    assert len(paths_of(large) | paths_of(rest)) == 150
    # Not the first by name, which may be frames of one film.
    assert paths_of(small) != {f'cat/{i:03}.jpg' for i in range(10)} | {
        f'dog/{i:03}.jpg' for i in range(5)
    }


def test_a_share_depends_on_the_paths_alone(tmp_path: Path) -> None:
    one = balanced(tmp_path / 'one', dict(cat=40, dog=40))
    other = balanced(tmp_path / 'elsewhere' / 'two', dict(dog=40, cat=40))
    found = [paths_of(ImageFolder(data_root=str(root), labels=0.25)) for root in (one, other)]
    assert found[0] == found[1]
    # Golden: the smallest SHA-256 of 'cat/000.jpg' to 'cat/039.jpg'.
    names = (f'cat/{i:03}.jpg' for i in range(40))
    first = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:10]
    assert {path for path in found[0] if path.startswith('cat')} == set(first)


@pytest.mark.parametrize('labels', [0.0, 1.5, (0.5, 0.5), (0.1,), 'all', True, (0.2, 1.2)])
def test_a_share_that_is_none(tmp_path: Path, labels) -> None:
    with pytest.raises(UserError, match='labels must be a share'):
        ImageFolder(data_root=str(balanced(tmp_path / 'a', dict(cat=9))), labels=labels)


def test_a_share_needs_images_of_every_class(tmp_path: Path) -> None:
    root = balanced(tmp_path / 'a', dict(cat=100, dog=10))
    with pytest.raises(UserError, match='no image of class dog .* it has 10'):
        ImageFolder(data_root=str(root), labels=0.01)
    with pytest.raises(UserError, match='with_label=True'):
        ImageFolder(data_root=str(root), labels=0.1, with_label=False)


def test_the_fingerprint_is_that_of_the_list(
    tree: Path, tmp_path: Path, source: Path, shards: Path
) -> None:
    """Of the names below the root and of the choice among them, not of the place or the times."""
    first = ImageFolder(data_root=str(tree)).fingerprint
    copied = grow(tmp_path / 'copy', old=False)
    assert ImageFolder(data_root=str(copied)).fingerprint == first
    subset = ImageFolder(data_root=str(tree)).get_subset(range(3))
    other = ImageFolder(data_root=str(tree)).get_subset(range(1, 4))
    (copied / 'a/x.jpg').rename(copied / 'a/w.jpg')
    renamed = ImageFolder(data_root=str(copied))
    found = [ImageFolder(data_root=str(folder)).fingerprint for folder in (source, shards)]
    found += [dataset.fingerprint for dataset in (subset, other, renamed)]
    assert len({first, *found}) == 6 and all(len(digest) == 64 for digest in found)
