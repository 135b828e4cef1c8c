"""Folders of empty image files, and what datasets make of them."""

import os
import time
from pathlib import Path

from mmpretrain.datasets import CustomDataset

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


def stock_dataset(**options) -> CustomDataset:
    """MMPretrain's dataset, without the half second that it takes to serialize what it found."""
    return CustomDataset(**options, serialize_data=False)


def infos(dataset: CustomDataset) -> list[dict]:
    return [dataset.get_data_info(index) for index in range(len(dataset))]
