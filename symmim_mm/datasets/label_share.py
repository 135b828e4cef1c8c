"""A share of the labels of a dataset: the same images for every method, seed and machine."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS as ALL_DATASETS

from symmim_mm.datasets.label_maps import count_labels
from symmim_mm.datasets.transforms.decode import IGNORED
from symmim_mm.registry import DATASETS
from symmim_mm.utils.errors import UserError

Share = tuple[float, float]


def share_of_labels(labels: float | Share) -> Share:
    """Read a share: a number in (0, 1], or start and stop, 0 <= start < stop <= 1.

    Raises:
        UserError: anything else.
    """
    bounds = labels if isinstance(labels, list | tuple) else (0.0, labels)
    numbers = len(bounds) == 2 and all(type(bound) in (int, float) for bound in bounds)
    if not numbers or not 0 <= bounds[0] < bounds[1] <= 1:
        raise UserError(
            f'labels must be a share in (0, 1], or two numbers 0 <= start < stop <= 1, got {labels}'
        )
    return tuple(bounds)


def choose_part(
    images: Iterable[int], path: Callable[[int], str], share: Share, least: int = 0
) -> list[int]:
    """Return a share of some images, in the order of the SHA-256 of their paths.

    Smaller shares lie inside larger ones, and shares that do not overlap have no image in common.

    Args:
        images: their indices.
        path: of an image, the same on every machine.
        share: see :func:`share_of_labels`.
        least: images of a share that starts at 0.
    """
    order = sorted(images, key=lambda index: hashlib.sha256(os.fsencode(path(index))).digest())
    start, stop = (round(bound * len(order)) for bound in share)
    return order[max(start, least) if share[0] else 0 : max(stop, least)]


@DATASETS.register_module()
def LabelShare(dataset: dict, labels: float | Share) -> BaseDataset:  # noqa: N802  a type of configs
    """Build a detection or segmentation dataset and keep a share of its images.

    Images have several classes. Each counts as one of the rarest of its classes, that is the one
    which the fewest images have, and of the images of each such class the share is kept, at least
    one. With one class per image this is what :class:`ImageFolder` does. What the rare classes
    have in common with frequent ones makes the shares of these deviate, as a random choice would.

    Args:
        dataset: config of a dataset of MMDetection or MMSegmentation.
        labels: share to keep, as of :class:`ImageFolder`.

    Returns:
        The dataset, with the indices of its images in the whole one as ``chosen``, int64 ``(N,)``.

    Raises:
        UserError: ``labels`` is no share, or the dataset is of another kind.
    """
    share = share_of_labels(labels)
    built = ALL_DATASETS.build(dataset)
    if not isinstance(built, BaseDataset):
        raise UserError(f'labels=... belongs to the datasets inside of {type(built).__name__}')
    folder = built.data_prefix.get('img') or built.data_prefix.get('img_path') or '.'

    def path(index: int) -> str:
        return os.path.relpath(built.get_data_info(index)['img_path'], folder)

    groups: dict[int, list[int]] = {}
    for index, label in enumerate(_rarest(_classes(built))):
        groups.setdefault(label, []).append(index)
    chosen = [i for group in groups.values() for i in choose_part(group, path, share, least=1)]
    built.chosen = np.sort(np.asarray(chosen, np.int64))
    built.get_subset_(built.chosen.tolist())
    return built


def _classes(dataset: BaseDataset) -> list[list[int]]:
    """Return the classes that are in each image."""
    info = dataset.get_data_info(0) if len(dataset) else {}
    if 'seg_map_path' in info and 'instances' not in info:
        return [np.flatnonzero(counts[:IGNORED]).tolist() for counts in count_labels(dataset)]
    if 'instances' not in info:
        raise UserError(
            f'labels=... chooses by boxes or label maps, {type(dataset).__name__} has neither: for '
            'class folders take symmim_mm.ImageFolder'
        )
    infos = (dataset.get_data_info(index)['instances'] for index in range(len(dataset)))
    return [
        sorted({one['bbox_label'] for one in instances if not one.get('ignore_flag')})
        for instances in infos
    ]


def _rarest(classes: list[list[int]]) -> list[int]:
    """Return for each image the one of its classes that fewest images have; -1 without any."""
    images = Counter(label for found in classes for label in found)
    return [min(found, key=lambda label: (images[label], label), default=-1) for found in classes]


def use_label_share(dataset: dict) -> dict:
    """Return the config of a dataset for which its own ``labels``, and those of its parts, work."""
    if not isinstance(dataset, dict) or str(dataset.get('type')).endswith('ImageFolder'):
        return dataset
    changed = dict(dataset)
    if 'dataset' in dataset:
        changed['dataset'] = use_label_share(dataset['dataset'])
    if 'datasets' in dataset:
        changed['datasets'] = list(map(use_label_share, dataset['datasets']))
    if str(dataset.get('type')).endswith('LabelShare'):
        return changed
    labels = changed.pop('labels', None)
    if labels is None:
        return changed
    return dict(type='symmim_mm.LabelShare', labels=labels, dataset=changed)
