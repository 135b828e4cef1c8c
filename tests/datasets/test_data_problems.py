"""Before a training starts: folders that are missing, empty, or may not be read."""

import errno
import os
import re
from pathlib import Path

import pytest
from mmengine.config import Config

from symmim_mm.config.load import data_problems

ENDING = ' or set train_dataloader.dataset.data_root'


def problem(root: Path) -> str | None:
    """What is said first, as a command does."""
    dataset = dict(type='symmim_mm.ImageFolder', data_root=str(root))
    found = next(data_problems(Config(dict(train_dataloader=dict(dataset=dataset)))), None)
    if found is None:
        return None
    start = f'train_dataloader: {root} '
    assert found.startswith(start) and found.endswith(ENDING)
    return found.removeprefix(start).removesuffix(ENDING)


@pytest.mark.parametrize('prefix', ['', 'train'])
def test_images_in_the_folder_that_was_named(prefix: str, tmp_path: Path) -> None:
    """The shipped configs read ``train`` below it: what to set is the prefix, not the root."""
    (tmp_path / '1.jpg').touch()
    dataset = dict(data_root=str(tmp_path), data_prefix=prefix)
    said = list(data_problems(Config(dict(train_dataloader=dict(dataset=dataset)))))
    way = f"train does not exist.* set train_dataloader.dataset.data_prefix='' for .*{tmp_path}"
    assert len(said) == bool(prefix) and all(re.search(way, line) for line in said)


def forbid(monkeypatch: pytest.MonkeyPatch, name: str, refused: Path) -> None:
    """As the system does, which lets root pass."""
    ask = getattr(os, name)

    def call(path: os.PathLike, *args: object, **kwargs: object) -> object:
        if path == refused or path == str(refused):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return ask(path, *args, **kwargs)

    monkeypatch.setattr(os, name, call)


def test_folders(tmp_path: Path) -> None:
    empty = 'is an empty folder, there are no images: put the data there'
    assert problem(tmp_path) == empty
    (tmp_path / 'a').mkdir()
    assert problem(tmp_path) == empty
    (tmp_path / 'a' / '1.jpg').touch()
    assert problem(tmp_path) is None
    assert problem(tmp_path / 'a' / '1.jpg') is None
    assert problem(tmp_path / 'none') == 'does not exist: put the data there'
    assert problem(tmp_path / 'a' / '1.jpg' / 'b') == 'does not exist: put the data there'


@pytest.mark.parametrize(('call', 'refused'), [('scandir', ''), ('scandir', 'a'), ('stat', '')])
def test_a_folder_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, refused: str
) -> None:
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / '1.jpg').touch()
    forbid(monkeypatch, call, tmp_path / refused)
    found = problem(tmp_path)
    assert found == 'cannot be read (Permission denied): let this user read it'


@pytest.mark.parametrize(
    ('endings', 'said'),
    [
        (['.png'] * 4, r"has 0 images in .jpg, and 4 in .png not read: set img_suffix='.png'"),
        (['.jpg', '.tiff'] * 2, 'has 2 images in .jpg, and 2 in .tiff not read: give all of them'),
        (['.jpg'] * 3 + ['.txt'], None),
    ],
)
def test_images_that_another_suffix_leaves_out(tmp_path: Path, endings, said) -> None:
    """MMSegmentation reads one suffix, and says nothing of the others."""
    for number, ending in enumerate(endings):
        (tmp_path / f'{number}{ending}').touch()
    dataset = dict(type='mmseg.BaseSegDataset', data_prefix=dict(img_path=str(tmp_path)))
    found = next(data_problems(Config(dict(val_dataloader=dict(dataset=dataset)))), None)
    assert found is None if said is None else re.search(said, found)
