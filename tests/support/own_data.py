"""Labeled images as users have them: parts of the sample data, and images of one color."""

from pathlib import Path

import cv2
import numpy as np


def coco(root: Path) -> tuple[Path, Path]:
    return root / 'coco/annotations/instances_train2017.json', root / 'coco/train2017'


def ade(root: Path, split: str = 'training') -> tuple[Path, Path]:
    return root / 'ade20k/images' / split, root / 'ade20k/annotations' / split


def write(path: Path, value: int | np.ndarray, side: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((side, side, 3), value, np.uint8) if isinstance(value, int) else value
    assert cv2.imwrite(str(path), pixels)
