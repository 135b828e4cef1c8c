"""Metrics of the libraries by the names in our records, and what chance would reach.

Importing this module imports no library: records are read with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

# Names in our records <- names in the libraries' metrics, and the factor to percent.
METRICS = {
    'top1': ('accuracy/top1', 1.0),
    'held_out_top1': ('accuracy/held_out_top1', 1.0),
    'box_ap': ('coco/bbox_mAP', 100.0),
    'box_ap50': ('coco/bbox_mAP_50', 100.0),
    'mask_ap': ('coco/segm_mAP', 100.0),
    'mask_ap50': ('coco/segm_mAP_50', 100.0),
    'miou': ('mIoU', 1.0),
    'macc': ('mAcc', 1.0),
}
DETECTION = ('box_ap', 'box_ap50', 'mask_ap', 'mask_ap50')


def in_percent(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics of a validation by our names, in percent; others are left out.

    NaN, and values below zero such as CocoMetric's -1, mean that a metric is undefined: NaN.
    """
    found = {}
    for ours, (theirs, factor) in METRICS.items():
        if theirs in metrics:
            value = float(metrics[theirs])
            found[ours] = value * factor if value >= 0 else math.nan
    return found


def chance_levels(task: str, dataset: BaseDataset) -> dict[str, float]:
    """Return the metrics, in percent, that a model reaches on a dataset without having learned."""
    if task == 'detection':
        return dict.fromkeys(DETECTION, 0.0)
    if task.endswith('segmentation'):
        return {'miou': blind_miou(dataset)}
    return {'top1': 100.0 / len(dataset.metainfo['classes'])}


def blind_miou(dataset: BaseDataset) -> float:
    """Return the mIoU in percent of giving every pixel the most frequent class of the dataset.

    Classes that do not occur are no part of the mean, as in MMSegmentation's ``IoUMetric``.
    """
    from symmim_mm.datasets.label_maps import count_labels

    counts = count_labels(dataset).sum(axis=0)[: len(dataset.metainfo['classes'])]
    return float(100.0 * counts.max() / max(counts.sum(), 1) / max(np.count_nonzero(counts), 1))


def has_objects(dataset: BaseDataset) -> bool:
    """Return whether an MMDetection dataset has any object to detect; a crowd is none."""
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return any(not found.get('ignore_flag') for info in infos for found in info['instances'])
