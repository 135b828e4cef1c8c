"""ImageFolder gives what MMPretrain's CustomDataset gives, and a share of its labels."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_trees import grow, infos, stock_dataset
from mmengine.registry import DATASETS

from symmim_mm.datasets.image_folder import ImageFolder
from symmim_mm.utils.errors import UserError


@pytest.mark.parametrize('labels', [True, False])
@pytest.mark.parametrize('options', [{}, dict(extensions=('.TIF', '.png')), dict(indices=3)])
def test_as_custom_dataset(tree: Path, labels: bool, options: dict) -> None:
    options = dict(data_root=str(tree.parent), data_prefix='tree', with_label=labels, **options)
    stock = stock_dataset(**options)
    ours = DATASETS.build(dict(type='symmim_mm.ImageFolder', **options))
    again = ImageFolder(**options)
    assert infos(stock) == infos(ours) == infos(again) and len(ours) == len(stock)
    assert stock.metainfo == ours.metainfo == again.metainfo
    assert stock.get_data_info(-1) == ours.get_data_info(-1)
    assert f'Number of samples: \t{len(stock)}' in repr(ours)
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


def test_links_are_followed(tree: Path, tmp_path: Path) -> None:
    grow(tmp_path / 'elsewhere', ['1.jpg', 'more/2.jpg'])
    (tree / 'linked').symlink_to(tmp_path / 'elsewhere')
    (tree / 'b' / 'linked.jpg').symlink_to(tree / 'b' / '2.jpg')
    (tree / 'b' / 'dangling.jpg').symlink_to(tree / 'nothing')
    assert infos(ImageFolder(data_root=str(tree))) == infos(stock_dataset(data_root=str(tree)))


def test_an_annotation_file_is_left_to_custom_dataset(tree: Path, tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('b/2.jpg 1\na/x.jpg 0\n')
    options = dict(data_root=str(tree), ann_file=str(tmp_path / 'list.txt'))
    stock, ours = stock_dataset(**options), ImageFolder(**options)
    assert infos(stock) == infos(ours) and ours.index is None
    assert np.array_equal(stock.get_gt_labels(), ours.get_gt_labels())
    for subset in (1, [1, 1]):
        assert infos(ours.get_subset(subset)) == infos(stock.get_subset(subset))
    with pytest.raises(UserError, match='leaves no image of class'):
        ImageFolder(**options, labels=0.4)


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ('b/2.jpg 1\n\n', 'list.txt needs a path and the number of its class in each line'),
        ('b/2.jpg b\n', "list.txt needs a path .*'b'"),
        ('b/2.jpg 2\n', 'list.txt has class 2 for .*b/2.jpg, and classes are numbered from 0 to 1'),
    ],
)
def test_lists_that_are_none(tree: Path, tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / 'list.txt').write_text(lines)
    with pytest.raises(UserError, match=message):
        ImageFolder(data_root=str(tree), ann_file=str(tmp_path / 'list.txt'), classes=['a', 'b'])


def test_a_share_of_a_list_is_that_of_the_folder(tmp_path: Path) -> None:
    names = [f'{name}/{number}.jpg' for name in 'ab' for number in range(10)]
    grow(tmp_path / 'images', names)
    lines = [f'{name} {int(name[0] == "b")}\n' for name in names]
    (tmp_path / 'list.txt').write_text(''.join(lines))
    root = dict(data_root=str(tmp_path / 'images'), labels=(0.2, 0.5))
    listed = ImageFolder(**root, ann_file=str(tmp_path / 'list.txt'))
    assert infos(listed) == infos(ImageFolder(**root)) and len(listed) == 6


def test_mistakes(tmp_path: Path, tree: Path, capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(UserError, match='there is no folder .*none'):
        ImageFolder(data_root=str(tmp_path / 'none'))
    grow(tmp_path / 'other', ['a/b.txt'])
    with pytest.raises(UserError, match='no images below .*other.*set extensions'):
        ImageFolder(data_root=str(tmp_path / 'other'))
    with pytest.raises(UserError, match='has 5 folders, but classes names 2'):
        ImageFolder(data_root=str(tree), classes=['a', 'b'])
    (tree / 'vacant').mkdir()
    ImageFolder(data_root=str(tree))
    assert 'no images in the folders vacant' in ''.join(capfd.readouterr())
    (tree / 'a' / 'round').symlink_to(tree)
    with pytest.raises(UserError, match='links to a folder around it: remove the link'):
        ImageFolder(data_root=str(tree))


def balanced(root: Path, **counts: int) -> str:
    grow(root, [f'{name}/{i:03}.jpg' for name, n in counts.items() for i in range(n)])
    return str(root)


def paths_of(data: ImageFolder) -> set[str]:
    return {os.path.relpath(info['img_path'], data.img_prefix) for info in infos(data)}


def test_a_share_of_the_labels_is_balanced_nested_and_disjoint(tmp_path: Path) -> None:
    root = balanced(tmp_path / 'many', cat=100, dog=50)
    shares = (0.1, 0.5, (0.5, 1.0))
    small, large, rest = (ImageFolder(data_root=root, labels=share) for share in shares)
    assert np.bincount(small.get_gt_labels()).tolist() == [10, 5]
    assert np.bincount(large.get_gt_labels()).tolist() == [50, 25]
    assert paths_of(small) < paths_of(large)
    assert not paths_of(large) & paths_of(rest)
    assert len(paths_of(large) | paths_of(rest)) == 150


def test_a_share_depends_on_the_paths_alone(tmp_path: Path) -> None:
    """Golden: the smallest SHA-256 of the paths, and not the first, maybe frames of one film."""
    roots = balanced(tmp_path / 'one', cat=40, dog=40), balanced(tmp_path / 'two', dog=40, cat=40)
    one, other = (paths_of(ImageFolder(data_root=root, labels=0.25)) for root in roots)
    assert one == other
    names = (f'cat/{i:03}.jpg' for i in range(40))
    first = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:10]
    assert {path for path in one if path.startswith('cat')} == set(first)


@pytest.mark.parametrize('labels', [0.0, 1.5, (0.5, 0.5), (0.1,), 'all', True, (0.2, 1.2)])
def test_a_share_that_is_none(tmp_path: Path, labels) -> None:
    with pytest.raises(UserError, match='labels must be a share'):
        ImageFolder(data_root=balanced(tmp_path / 'a', cat=9), labels=labels)


def test_a_share_needs_images_of_every_class(tmp_path: Path) -> None:
    root = balanced(tmp_path / 'a', cat=100, dog=10)
    with pytest.raises(UserError, match='no image of class dog .* it has 10'):
        ImageFolder(data_root=root, labels=0.01)
    with pytest.raises(UserError, match='with_label=True'):
        ImageFolder(data_root=root, labels=0.1, with_label=False)


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
