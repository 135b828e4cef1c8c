"""Samples that are a function of (seed, position), with others in place of unreadable ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from symmim_mm.datasets.samplers.seeding import REPLACEMENT, seed_sample, words_from
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.engine.runner.fault_reporting_loader import FaultReportingDataset

MOST_TRIES = 50  # images for one position, before the dataset is given up

Draw = tuple[int, int]
"""Index of a sample in its dataset, and position of the draw in the run's stream of samples."""


class UnreadableImage(NamedTuple):
    """An image that could not be read."""

    name: str  # its path
    reason: str  # one line, as for the user


class SampleWithSkips(NamedTuple):
    """A sample, or a batch of samples, and what was skipped to get it."""

    value: Any
    skipped: list[UnreadableImage]


def collate_with_skips(
    collate: Callable[[list], Any], samples: list[SampleWithSkips]
) -> SampleWithSkips:
    """Collate samples by a loader's ``collate``, and join their skips."""
    skipped = [image for sample in samples for image in sample.skipped]
    return SampleWithSkips(collate([sample.value for sample in samples]), skipped)


class SeededDataset(FaultReportingDataset):
    """A dataset that seeds the random numbers of every sample from its position in the run.

    A plain index gives the plain sample.
    """

    def __init__(self, dataset: Dataset, seed: int, workers: int = 0) -> None:
        super().__init__(dataset, workers)
        self.seed = seed
        self.skips = False  # see ResumableLoader.skip_unreadable

    def __getitem__(self, draw: Draw | int) -> Any:
        if not isinstance(draw, tuple):
            return super().__getitem__(draw)
        index, position = draw
        if self.skips:
            return self.readable_sample(index, position)
        seed_sample(self.seed, position)
        return super().__getitem__(index)

    def readable_sample(self, index: int, position: int) -> SampleWithSkips:
        """Return the sample of an index, or else the first other one that can be read.

        Which others are tried is a function of (seed, position), so that a resumed run gets the
        same, whatever its loader workers; every try draws the random numbers of that position.

        Raises:
            ImageError: ``MOST_TRIES`` images in a row cannot be read.
        """
        skipped: list[UnreadableImage] = []
        for attempt in range(MOST_TRIES):
            if attempt:
                index = words_from(REPLACEMENT, self.seed, position, attempt)[2] % len(self)
            seed_sample(self.seed, position)
            try:
                return SampleWithSkips(super().__getitem__(index), skipped)
            except ImageError as error:
                skipped.append(UnreadableImage(self.name(index), str(error)))
        raise ImageError(
            f'{MOST_TRIES} images in a row cannot be read: examine them with '
            f'tools/check_dataset.py; the last one: {skipped[-1].reason}'
        )
