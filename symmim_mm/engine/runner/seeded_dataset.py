"""Samples whose random numbers depend on their place in the run alone."""

from typing import Any

from torch.utils.data import Dataset

from symmim_mm.datasets.samplers.seeding import seed_sample
from symmim_mm.engine.runner.unreadable import readable_sample
from symmim_mm.engine.runner.watched_loader import WatchedDataset

Draw = tuple[int, int]
"""Index of a sample in its data set, and place of the draw in the run's stream of samples."""


class SeededDataset(WatchedDataset):
    """Seeds the random numbers of every sample from its place in the run.

    A plain index gives its plain sample.

    Args:
        dataset: of any of the libraries.
        seed: of the run.
        workers: loader workers that will read it.
    """

    def __init__(self, dataset: Dataset, seed: int, workers: int = 0) -> None:
        super().__init__(dataset, workers)
        self.seed = seed
        self.pass_over = False  # see PositionedLoader.pass_over_unreadable

    def __getitem__(self, draw: Draw | int) -> Any:
        if not isinstance(draw, tuple):
            return super().__getitem__(draw)
        index, place = draw
        if self.pass_over:
            return readable_sample(self, index, self.seed, place)
        seed_sample(self.seed, place)
        return super().__getitem__(index)
