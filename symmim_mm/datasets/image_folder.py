"""``CustomDataset`` that opens a million images, in a folder or in shards, in moments."""

import copy
import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset

from symmim_mm.datasets.folder_index import FolderIndex, open_index
from symmim_mm.datasets.shards.manifest import has_shards
from symmim_mm.datasets.shards.reader import ImageShards
from symmim_mm.registry import DATASETS
from symmim_mm.utils.errors import UserError


@DATASETS.register_module()
class ImageFolder(CustomDataset):
    """A folder of images, with the names of its sub-folders as classes or without labels.

    Replaces ``mmpretrain.CustomDataset``: the same options, images, order and classes. The list of
    images is kept in a file, see :func:`~symmim_mm.datasets.folder_index.open_index`, and shared by
    all processes of a machine, where ``CustomDataset`` walks through the folder at every start and
    makes a dictionary of every image. A folder of shards that ``tools/prepare_dataset.py`` wrote is
    read as the images it was made of; they come as ``img_bytes``, which ``LoadRandomResizedCrop``
    and ``LoadImageStrict`` take. With an ``ann_file``, or a folder on a storage backend, it does
    what ``CustomDataset`` does.

    Args:
        *args, **kwargs: as ``CustomDataset``.
        labels: share of each class's images to keep, in an order that depends on their paths
            alone: 0.01 is the first hundredth, (0.96, 1.0) are the last four. The subset is the
            same for every method, seed and machine, and smaller ones lie inside larger ones.
        index_cache: folder for the lists; default ``$XDG_CACHE_HOME/symmim_mm/index``.

    Raises:
        UserError: no image in the folder, other classes than those given, or a share that is
            none or leaves a class without images.
    """

    def __init__(
        self,
        *args: Any,
        labels: float | tuple[float, float] | None = None,
        index_cache: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.share = None if labels is None else share_of_labels(labels)
        self.index_cache = index_cache
        self.index: FolderIndex | ImageShards | None = None
        self.chosen: np.ndarray | None = None  # a subset of the index, None for all of it
        super().__init__(*args, **kwargs)

    def full_init(self) -> None:
        """Open the index."""
        if self._fully_initialized:
            return
        if self.ann_file or '://' in self.img_prefix:
            if self.share:
                raise UserError('labels=... needs a local folder of class folders, no ann_file')
            super().full_init()
            return
        if has_shards(self.img_prefix):
            self.index = ImageShards(self.img_prefix)
        else:
            self.index = open_index(
                self.img_prefix, self.extensions, self.with_label, self.index_cache
            )
        if not len(self.index):
            raise UserError(
                f'no images below {self.img_prefix}: put some there, or set extensions '
                f'(now {", ".join(sorted(self.extensions))})'
            )
        if self.with_label:
            self._name_classes()
        if self.share:
            self.chosen = self._choose_share(*self.share)
        if self._indices is not None:
            self.chosen = self._choose(self._indices)
        self._fully_initialized = True

    def _name_classes(self) -> None:
        found = self.index.classes
        if found is None:
            raise UserError(
                f'{self.img_prefix} was prepared from images without classes: '
                'set with_label=False, or prepare a folder of class folders'
            )
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(found)
        elif len(self.CLASSES) != len(found):
            raise UserError(
                f'{self.img_prefix} has {len(found)} folders, but classes names '
                f'{len(self.CLASSES)}: one folder is one class'
            )
        self.folder_to_idx = {name: index for index, name in enumerate(found)}
        counts = np.bincount(self.index.labels, minlength=len(found))
        if empty := [found[index] for index in np.flatnonzero(counts == 0)]:
            print_log(f'no images in the folders {", ".join(empty)}', 'current', level=30)

    def _choose_share(self, start: float, stop: float) -> np.ndarray:
        """Indices of a share of each class, ascending, int64 ``(N,)``."""
        if not self.with_label:
            raise UserError('labels=... chooses among labeled images: set with_label=True')
        parts = []
        for label, name in enumerate(self._metainfo['classes']):
            places = np.flatnonzero(self.index.labels == label)
            part = slice(round(start * len(places)), round(stop * len(places)))
            order = sorted(places.tolist(), key=self._digest)[part]
            if not order:
                raise UserError(
                    f'labels={start, stop} leaves no image of class {name} in {self.img_prefix}: '
                    f'it has {len(places)}'
                )
            parts += order
        return np.sort(np.asarray(parts, np.int64))

    def _digest(self, place: int) -> bytes:
        return hashlib.sha256(self.index.path(place).encode('utf-8', 'surrogateescape')).digest()

    @property
    def shard_sizes(self) -> np.ndarray | None:
        """Number of images in each shard of a whole dataset, None where there are no shards."""
        whole = isinstance(self.index, ImageShards) and self.chosen is None
        return self.index.shard_sizes if whole else None

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of relative paths, of shards also sizes, and the choice among these."""
        self.full_init()
        if self.index is None:
            return None
        digest = hashlib.sha256(self.index.columns['text'])
        for column in (self.index.columns.get('size'), self.chosen):
            if column is not None:
                digest.update(column)
        return digest.hexdigest()

    def prepare_data(self, idx: int) -> Any:
        """Return what the pipeline makes of an image."""
        info = self.get_data_info(idx)
        if isinstance(self.index, ImageShards):
            info['img_bytes'] = self.index.read(self._position(info['sample_idx']))
        return self.pipeline(info)

    def get_data_info(self, idx: int) -> dict:
        """Return ``img_path``, ``sample_idx`` and, with labels, ``gt_label`` of an image."""
        self.full_init()
        if self.index is None:
            return super().get_data_info(idx)
        count = len(self)
        if not -count <= idx < count:
            raise IndexError(f'there are {count} images, none of index {idx}')
        idx = int(idx) % count
        position = self._position(idx)
        info = dict(img_path=os.path.join(self.img_prefix, self.index.path(position)))
        if self.with_label:
            info['gt_label'] = int(self.index.labels[position])
        info['sample_idx'] = idx
        return info

    def get_gt_labels(self) -> np.ndarray:
        """Return the labels of all images, int ``(N,)``."""
        self.full_init()
        if self.index is None:
            return super().get_gt_labels()
        labels = self.index.labels.astype(np.int64)
        return labels if self.chosen is None else labels[self.chosen]

    def __len__(self) -> int:
        self.full_init()
        if self.index is None:
            return super().__len__()
        return len(self.index) if self.chosen is None else len(self.chosen)

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep the images of these indices, or so many first (or, below 0, last) ones."""
        self.full_init()
        if self.index is None:
            super().get_subset_(indices)
        else:
            self.chosen = self._choose(indices)

    def get_subset(self, indices: Sequence[int] | int) -> 'ImageFolder':
        """Return a copy of which :meth:`get_subset_` has kept some images."""
        self.full_init()
        if self.index is None:
            return super().get_subset(indices)
        subset = copy.copy(self)
        subset._metainfo = copy.deepcopy(self._metainfo)
        subset.get_subset_(indices)
        return subset

    def _position(self, idx: int) -> int:
        """Return the position in the index of an image of the chosen ones."""
        return idx if self.chosen is None else int(self.chosen[idx])

    def _choose(self, indices: Sequence[int] | int) -> np.ndarray:
        chosen = np.arange(len(self.index)) if self.chosen is None else self.chosen
        if isinstance(indices, int):
            return chosen[:indices] if indices >= 0 else chosen[indices:]
        return chosen[np.asarray(indices, np.int64)]


def share_of_labels(labels: float | tuple[float, float]) -> tuple[float, float]:
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
