"""Labeled images as users have them, the commands that take them, and the ViT of a checkpoint."""

from pathlib import Path

import cv2
import numpy as np

from symmim_mm.apis.own_data.detect import detect
from symmim_mm.apis.own_data.finetune import finetune
from symmim_mm.apis.own_data.segment import segment
from symmim_mm.checkpoint.encoder import Encoder

SIZES = dict(heads=4, width=48, layers=12, hidden=96, channels=3, patch=8, image=32)
VIT = Encoder({}, 'tiny', **SIZES, pooled=False)
STD = [50.0, 51.0, 52.0]
MAP_SIDE = 40  # pixels


def coco(root: Path) -> tuple[Path, Path]:
    return root / 'coco/annotations/instances_train2017.json', root / 'coco/train2017'


def ade(root: Path, split: str = 'training') -> tuple[Path, Path]:
    return root / 'ade20k/images' / split, root / 'ade20k/annotations' / split


def write(path: Path, value: int | np.ndarray, side: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((side, side, 3), value, np.uint8) if isinstance(value, int) else value
    assert cv2.imwrite(str(path), pixels)


def stripes(*values: int) -> np.ndarray:
    """Return a label map with stripes of these values."""
    rows = np.resize(np.array(values, np.uint8), MAP_SIDE)
    return np.repeat(rows, MAP_SIDE).reshape(MAP_SIDE, MAP_SIDE)


def map_folders(root: Path, maps: list[np.ndarray]) -> tuple[Path, Path]:
    """Write an image for each label map, and return both folders."""
    for number, label in enumerate(maps):
        write(root / f'images/{number}.png', number)
        write(root / f'masks/{number}.png', label)
    return root / 'images', root / 'masks'


# By task: the command's function, its data below the sample data, and a metric of its record.
TASKS = {
    'finetune': (finetune, lambda root: (root / 'imagenet',), 'top1'),
    'detection': (detect, coco, 'mask_ap'),
    'segmentation': (segment, ade, 'miou'),
}
