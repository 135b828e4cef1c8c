"""Samples whose random numbers depend on their place in the run alone."""

from typing import Any

import torch
from torch.utils.data import Dataset, get_worker_info

from symmim_mm.engine.seeding import seed_sample
from symmim_mm.engine.unreadable import readable_sample

Draw = tuple[int, int]
"""Index of a sample in its data set, and place of the draw in the run's stream of samples."""


class SeededDataset(Dataset):
    """Seeds the random numbers of every sample from its place in the run.

    Any other attribute is that of the data set within; a plain index gives its plain sample.

    Args:
        dataset: of any of the libraries.
        seed: of the run.
        workers: loader workers that will read it.
    """

    def __init__(self, dataset: Dataset, seed: int, workers: int = 0) -> None:
        self.dataset = dataset
        self.seed = seed
        self.pass_over = False  # see PositionedLoader.pass_over_unreadable
        # The index that each worker is reading, or -1, in memory that they share with this
        # process: one that a picture has killed cannot say which it was.
        self.reading = torch.full((workers,), -1).share_memory_()

    def __getitem__(self, draw: Draw | int) -> Any:
        if not isinstance(draw, tuple):
            return self._read(draw)
        index, place = draw
        if self.pass_over:
            return readable_sample(self, index, self.seed, place)
        seed_sample(self.seed, place)
        return self._read(index)

    def _read(self, index: int) -> Any:
        worker = get_worker_info()
        if worker is None:
            return self.dataset[index]
        self.reading[worker.id] = index
        try:
            return self.dataset[index]
        finally:
            self.reading[worker.id] = -1

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # Not `__getitems__`, which would fetch a batch without its seeds, nor what pickle asks
        # for before there is a data set.
        if name.startswith('__') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)
