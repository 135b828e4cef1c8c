"""Samples that are a function of (seed, position), with others in place of unreadable ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset, get_worker_info

from symmim_mm.datasets.samplers.seeding import REPLACEMENT, seed_sample, words_from
from symmim_mm.datasets.transforms.decode_region import ImageError

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


class SeededDataset(Dataset):
    """A dataset that seeds the random numbers of every sample from its position in the run.

    It notes which sample each of its loader workers is reading. A plain index gives the plain
    sample, and any other attribute is that of the dataset within.
    """

    def __init__(self, dataset: Dataset, seed: int, workers: int = 0) -> None:
        self.dataset = dataset
        self.seed = seed
        self.skips = False  # see ResumableLoader.skip_unreadable
        # The index that each worker is reading, or -1, in memory that they share with this
        # process: one that an image has killed cannot say which it was.
        self.reading = torch.full((workers,), -1).share_memory_()

    def __getitem__(self, draw: Draw | int) -> Any:
        if not isinstance(draw, tuple):
            return self.dataset[draw]
        return self.readable_sample(*draw) if self.skips else self._read(*draw)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # Not `__getitems__`, which would fetch a batch past the above, nor what pickle asks for
        # before there is a dataset.
        if name.startswith('__') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def name(self, index: int) -> str:
        """Return the path of an image, if the dataset knows it."""
        try:
            info = self.dataset.get_data_info(index)
        except AttributeError:
            return f'sample {index}'
        return str(info.get('img_path', f'sample {index}'))

    def _read(self, index: int, position: int) -> Any:
        seed_sample(self.seed, position)
        worker = get_worker_info()
        if worker is None:
            return self.dataset[index]
        self.reading[worker.id] = index
        try:
            return self.dataset[index]
        finally:
            self.reading[worker.id] = -1

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
            try:
                return SampleWithSkips(self._read(index, position), skipped)
            except ImageError as error:
                skipped.append(UnreadableImage(self.name(index), str(error)))
        raise ImageError(
            f'{MOST_TRIES} images in a row cannot be read: examine them with '
            f'tools/check_dataset.py; the last one: {skipped[-1].reason}'
        )
