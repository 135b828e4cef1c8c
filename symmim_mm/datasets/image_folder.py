"""``CustomDataset`` that opens a million images, in a folder or in shards, in moments."""

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset

from symmim_mm.datasets.folder_index import open_index
from symmim_mm.datasets.folder_scan import EXTENSIONS
from symmim_mm.datasets.image_table import ImageTable
from symmim_mm.datasets.label_share import choose_part, share_of_labels
from symmim_mm.datasets.shards.manifest import read_manifest
from symmim_mm.datasets.shards.reader import ImageShards
from symmim_mm.registry import DATASETS
from symmim_mm.utils.errors import UserError


@DATASETS.register_module()
class ImageFolder(CustomDataset):
    """A folder of images, with the names of its sub-folders as classes or without labels.

    Replaces ``mmpretrain.CustomDataset``: the same options, order and classes. The list of
    images is kept in a file, see :func:`~symmim_mm.datasets.folder_index.open_index`, and shared by
    all processes of a machine, where ``CustomDataset`` walks through the folder at every start and
    makes a dictionary of every image. A folder of shards that ``tools/prepare_dataset.py`` wrote is
    read as the images it was made of; they come as ``img_bytes``, which ``LoadRandomResizedCrop``
    and ``LoadImageStrict`` take. With an ``ann_file``, or a folder on a storage backend, it does
    what ``CustomDataset`` does.

    Args:
        *args, **kwargs: as ``CustomDataset``; ``extensions`` are those of all commands by default.
        labels: share of each class's images to keep, in an order that depends on their paths
            alone: 0.01 is the first hundredth, (0.96, 1.0) are the last four. The subset is the
            same for every method, seed and machine, and smaller ones lie inside larger ones.
        index_cache: folder for the lists; default ``$XDG_CACHE_HOME/symmim_mm/index``.

    Raises:
        UserError: no image in the folder, other classes than those given, a list that is none, or
            a share that is none or leaves a class without images.
    """

    def __init__(
        self,
        *args: Any,
        labels: float | tuple[float, float] | None = None,
        index_cache: str | None = None,
        extensions: Sequence[str] = EXTENSIONS,
        **kwargs: Any,
    ) -> None:
        self.share = None if labels is None else share_of_labels(labels)
        self.index_cache = index_cache
        self.index: ImageTable | None = None
        super().__init__(*args, extensions=tuple(extensions), **kwargs)

    def load_data_list(self) -> Sequence[dict]:
        """Open the index; what is known of an image is made of it when it is asked for."""
        if self.share and not self.with_label:
            raise UserError('labels=... chooses among labeled images: set with_label=True')
        if self.ann_file or '://' in self.img_prefix:
            images = self._load_list()
            if not self.share:
                return images
            root = self.img_prefix or '.'
            self.chosen = self._choose_share(
                np.array([image['gt_label'] for image in images]),
                lambda index: os.path.relpath(images[index]['img_path'], root),
            )
            return [images[index] for index in self.chosen]
        self.serialize_data = False
        if read_manifest(self.img_prefix):
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
        images = _Images(self.index, range(len(self.index)), self.img_prefix, self.with_label)
        if not self.share:
            return images
        # In shards, too, an image's own path: the share is that of the folder.
        return images[self._choose_share(self.index.labels, partial(ImageTable.path, self.index))]

    def _load_list(self) -> list[dict]:
        """Return what ``CustomDataset`` finds; labels of a list are checked."""
        if not (self.ann_file and self.with_label):
            return super().load_data_list()
        try:
            images = super().load_data_list()
        except ValueError as error:
            raise UserError(
                f'{self.ann_file} needs a path and the number of its class in each line ({error})'
            ) from error
        highest = len(self.CLASSES or ()) - 1
        for image in images if self.CLASSES else ():
            if not 0 <= image['gt_label'] <= highest:
                raise UserError(
                    f'{self.ann_file} has class {image["gt_label"]} for {image["img_path"]}, and '
                    f'classes are numbered from 0 to {highest}: fix it'
                )
        return images

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

    def _choose_share(self, labels: np.ndarray, path: Callable[[int], str]) -> np.ndarray:
        """Return the indices of the share of each class, ascending, int64 ``(N,)``."""
        chosen = []
        for label in range(len(self.CLASSES)) if self.CLASSES else np.unique(labels):
            numbers = np.flatnonzero(labels == label).tolist()
            part = choose_part(numbers, path, self.share)
            if not part:
                name = self.CLASSES[label] if self.CLASSES else label
                raise UserError(
                    f'labels={self.share} leaves no image of class {name} in {self.img_prefix}: '
                    f'it has {len(numbers)}'
                )
            chosen += part
        return np.sort(np.asarray(chosen, np.int64))

    @property
    def shard_sizes(self) -> np.ndarray | None:
        """Number of images in each shard of a whole dataset, None where there are no shards."""
        if not isinstance(self.index, ImageShards):
            return None
        whole = isinstance(self.data_list.chosen, range) and len(self) == len(self.index)
        return self.index.shard_sizes if whole else None

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of relative paths, of shards also sizes, and the choice among these."""
        self.full_init()
        if self.index is None:
            return None
        digest = hashlib.sha256(self.index.columns['text'])
        if isinstance(self.index, ImageShards):
            digest.update(self.index.columns['size'])
        digest.update(np.ascontiguousarray(self.data_list.chosen, np.int64))
        return digest.hexdigest()

    def prepare_data(self, idx: int) -> Any:
        """Return what the pipeline makes of an image."""
        info = self.get_data_info(idx)
        if isinstance(self.index, ImageShards):
            info['img_bytes'] = self.index.read(int(self.data_list.chosen[idx]))
        return self.pipeline(info)

    def get_gt_labels(self) -> np.ndarray:
        """Return the labels of all images, int ``(N,)``."""
        self.full_init()
        if self.index is None:
            return super().get_gt_labels()
        return self.index.labels[self.data_list.chosen].astype(np.int64)

    def _get_unserialized_subset(self, indices: Sequence[int] | int) -> Sequence[dict]:
        if self.index is None or isinstance(indices, int):
            return super()._get_unserialized_subset(indices)
        return self.data_list[np.asarray(indices, np.int64)]


class _Images(Sequence):
    """What :class:`ImageFolder` says of its images, in place of a list of a million dictionaries.

    ``chosen`` are the indices of the images, ``prefix`` that of their paths.
    """

    def __init__(
        self, index: ImageTable, chosen: range | np.ndarray, prefix: str, labeled: bool
    ) -> None:
        self.index, self.chosen, self.prefix, self.labeled = index, chosen, prefix, labeled

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, key: int | slice | np.ndarray) -> Any:
        """Return ``img_path`` and maybe ``gt_label`` of an image, or a part of the sequence."""
        if isinstance(key, slice | np.ndarray):
            chosen = self.chosen if isinstance(key, slice) else np.asarray(self.chosen)
            return _Images(self.index, chosen[key], self.prefix, self.labeled)
        index = int(self.chosen[key])
        info = dict(img_path=os.path.join(self.prefix, self.index.path(index)))
        if self.labeled:
            info['gt_label'] = int(self.index.labels[index])
        return info
