"""Label maps of a segmentation dataset: reading them, and counting their labels."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS as ALL_DATASETS

from symmim_mm.datasets.transforms.decode import IGNORED, FindingError, decode_label_map
from symmim_mm.datasets.transforms.decode_region import ImageError, read_file
from symmim_mm.registry import DATASETS
from symmim_mm.utils.host import available_cores
from symmim_mm.utils.paths import open_regular


def read_label_map(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Read a label map as it is stored: uint8 ``(H, W)``.

    Raises:
        ImageError: it is missing, damaged, or holds other values than integers from 0 to 255.
    """
    # A pipe would block its reader for ever.
    data = read_file(path, backend_args, opener=open_regular)
    try:
        labels = decode_label_map(data)
    except FindingError as error:
        raise ImageError(
            f'{path} is not a label map that can be used ({error}): save it as a PNG of 8 bits'
        ) from error
    if labels.min() < 0 or labels.max() > 255:
        raise ImageError(
            f'{path} holds numbers from {labels.min()} to {labels.max()}, label maps have 0 to '
            '255: fix it'
        )
    return labels.astype(np.uint8)


def label_table(info: dict) -> np.ndarray:
    """Return the label of each value of a file, uint8 ``(256,)``.

    Args:
        info: of an image of MMSegmentation's datasets: with ``reduce_zero_label`` 0 becomes the
            label of pixels that do not count and others are lowered by 1; then ``label_map``, which
            a dataset has with some of its classes.
    """
    table = np.arange(256, dtype=np.uint8)
    if info['reduce_zero_label']:
        table[1:IGNORED] -= 1
        table[0] = IGNORED
    reduced = table.copy()
    for old, new in (info.get('label_map') or {}).items():
        table[reduced == old] = new
    return table


def count_labels(dataset: BaseDataset, *, raw: bool = False) -> np.ndarray:
    """Count the pixels of each label in each label map of a dataset, int64 ``(N, 256)``.

    One core reads about 200 maps of ADE20K a second; all cores of the process read.

    Args:
        dataset: one of MMSegmentation's.
        raw: count the values as they are stored.

    Raises:
        ImageError: at a label map that cannot be read.
    """

    def count(index: int) -> np.ndarray:
        info = dataset.get_data_info(index)
        labels = read_label_map(info['seg_map_path'])
        return np.bincount((labels if raw else label_table(info)[labels]).ravel(), minlength=256)

    with ThreadPoolExecutor(available_cores()) as pool:
        return np.array(list(pool.map(count, range(len(dataset)))), np.int64).reshape(-1, 256)


@DATASETS.register_module()
def SegmentationFolder(  # noqa: N802  a type of configs
    values: Sequence[int], lazy_init: bool = False, **settings: Any
) -> BaseDataset:
    """Build MMSegmentation's dataset of two folders, whose label maps may hold any values.

    Args:
        values: of the label maps, in the order of the classes: ``(0, 255)`` for a mask of two
            classes. 255 is ignored unless it is among them; other values are of no class.
        lazy_init: as of ``BaseSegDataset``.
        **settings: likewise.
    """
    dataset = ALL_DATASETS.build(dict(settings, type='mmseg.BaseSegDataset', lazy_init=True))
    labels = dict.fromkeys(range(IGNORED), IGNORED - 1) | {IGNORED: IGNORED}
    labels |= {value: label for label, value in enumerate(values)}
    dataset.label_map = {value: label for value, label in labels.items() if value != label}
    if not lazy_init:
        dataset.full_init()
    return dataset
