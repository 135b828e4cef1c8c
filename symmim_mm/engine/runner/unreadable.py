"""Other pictures in the places of those that cannot be read, and a note of each."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from symmim_mm.datasets.samplers.seeding import REPLACEMENT, seed_sample, words_from
from symmim_mm.datasets.transforms.decode_region import ImageError

MOST_TRIES = 50  # pictures for one place, before the data set is given up


class Unreadable(NamedTuple):
    """A picture that could not be read.

    Args:
        name: its path.
        reason: one line, as for the user.
    """

    name: str
    reason: str


class Noted(NamedTuple):
    """A sample, or a batch of samples, and what was passed over to get it."""

    value: Any
    unreadable: list[Unreadable]


class NotedCollate:
    """Makes one noted batch of noted samples, in a loader worker or in the process itself.

    Args:
        collate: of the loader.
    """

    def __init__(self, collate: Callable[[list], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: list[Noted]) -> Noted:
        passed = [one for sample in samples for one in sample.unreadable]
        return Noted(self.collate([sample.value for sample in samples]), passed)


def readable_sample(dataset: Dataset, index: int, seed: int, place: int) -> Noted:
    """The sample of an index, or else of the first other one that can be read.

    Which others are tried is a function of (seed, place), so that a resumed run, whatever its
    loader workers, sees the same; every try draws the numbers of that place.

    Raises:
        ImageError: ``MOST_TRIES`` pictures in a row cannot be read.
    """
    passed: list[Unreadable] = []
    for attempt in range(MOST_TRIES):
        if attempt:
            index = words_from(REPLACEMENT, seed, place, attempt)[2] % len(dataset)
        seed_sample(seed, place)
        try:
            return Noted(dataset[index], passed)
        except ImageError as error:
            passed.append(Unreadable(sample_name(dataset, index), str(error)))
    raise ImageError(
        f'{MOST_TRIES} pictures in a row cannot be read: look at them with '
        f'tools/check_dataset.py; the last one: {passed[-1].reason}'
    )


def sample_name(dataset: Dataset, index: int) -> str:
    """The path of a picture, if its data set knows it."""
    try:
        info = dataset.get_data_info(index)
    except AttributeError:
        return f'sample {index}'
    return str(info.get('img_path', f'sample {index}'))
