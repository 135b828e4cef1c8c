"""A data loader that can start at any batch, with random numbers that depend on the place alone."""

from collections import deque
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

from mmengine.dist import get_rank, get_world_size
from torch.utils.data import DataLoader, Sampler

from symmim_mm.engine.runner.seeded_dataset import Draw, SeededDataset
from symmim_mm.engine.runner.unreadable import Noted, NotedCollate, Unreadable, sample_name
from symmim_mm.engine.runner.watched_loader import WatchedLoader

REMEMBERED = 512  # batches whose pictures can still be named


class PositionedBatches(Sampler):
    """The batches of a batch sampler, from any place on, with each sample's place in the run.

    Which batches an epoch has, and in which order, is left to the samplers of the libraries,
    which are functions of (seed, epoch); those before the start are drawn and dropped, which
    costs no reading of data.

    Args:
        batches: a batch sampler; its sampler may have ``set_epoch`` or, if endless, ``skip``.
        batch_size: samples of a full batch.
        accumulation: micro-batches of an optimizer step. An epoch is a whole number of steps, so
            that no checkpoint falls within one; the batches left over are not used.
        endless: go on with the next epoch where one ends, for runs that count iterations.
    """

    def __init__(
        self, batches: Sampler, batch_size: int, accumulation: int = 1, endless: bool = False
    ) -> None:
        self.batches = batches
        self.sampler = batches.sampler
        self.batch_size = batch_size
        self.accumulation = accumulation
        self.endless = endless
        self.epoch = 0
        self.start = 0
        self.recent: deque[tuple[int, list[int]]] = deque(maxlen=REMEMBERED)

    def __len__(self) -> int:
        return len(self.batches) // self.accumulation * self.accumulation

    def go_to(self, epoch: int, start: int) -> None:
        """Let the next iteration begin with batch ``start`` of an epoch, or of the whole run."""
        self.epoch = epoch
        self.start = start

    def __iter__(self) -> Iterator[list[Draw]]:
        first = self.start if self.endless else self.epoch * len(self) + self.start
        self.recent.clear()
        rank, ranks = get_rank(), get_world_size()
        for iteration, indices in enumerate(self._from_start(), first):
            self.recent.append((iteration, indices))
            place = iteration * self.batch_size
            yield [(index, (place + i) * ranks + rank) for i, index in enumerate(indices)]

    def _from_start(self) -> Iterator[list[int]]:
        if self.endless:
            if hasattr(self.sampler, 'skip'):
                self.sampler.skip(0)  # back to where its stream begins
            return islice(self._epochs(), self.start, None)
        self._set_epoch(self.epoch)
        return islice(self.batches, self.start, len(self))

    def _epochs(self) -> Iterator[list[int]]:
        for epoch in count():
            self._set_epoch(epoch)
            yield from self.batches

    def _set_epoch(self, epoch: int) -> None:
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)

    def indices_of(self, iteration: int) -> list[int]:
        """Samples of one of the latest iterations; none where they are forgotten."""
        return next((indices for number, indices in self.recent if number == iteration), [])


class PositionedLoader(WatchedLoader):
    """A data loader like another one, over its data set and batches, with :meth:`go_to`.

    Args:
        loader: as MMEngine builds it from a config. It has not been iterated.
        seed: of the run.
        accumulation, endless: as :class:`PositionedBatches`.
    """

    def __init__(
        self, loader: DataLoader, seed: int, accumulation: int = 1, endless: bool = False
    ) -> None:
        batch_size = loader.batch_size or loader.batch_sampler.batch_size
        super().__init__(
            loader,
            'train_dataloader',
            dataset=SeededDataset(loader.dataset, seed, loader.num_workers),
            batches=PositionedBatches(loader.batch_sampler, batch_size, accumulation, endless),
        )
        self.unreadable: list[Unreadable] = []

    def pass_over_unreadable(self) -> None:
        """From the next ``iter`` on, take other pictures in the places of unreadable ones.

        Those passed over for the batch that was given last are in ``unreadable``.
        """
        if not self.dataset.pass_over:
            self.dataset.pass_over = True
            self.collate_fn = NotedCollate(self.collate_fn)

    def go_to(self, epoch: int, start: int) -> None:
        """As :meth:`PositionedBatches.go_to`; takes effect with the next ``iter``."""
        self.batch_sampler.go_to(epoch, start)

    def __iter__(self) -> Iterator[Any]:
        batches = self.batch_sampler
        first = batches.start if batches.endless else batches.epoch * len(self) + batches.start
        return self._unwrapped(self._watched(self._started(), first))

    def _unwrapped(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            if isinstance(batch, Noted):
                batch, self.unreadable = batch
            yield batch

    def names(self, number: int, most: int | None = 4) -> str:
        """The pictures of one of the latest iterations (from 0), in words; ``None`` for all."""
        indices = self.batch_sampler.indices_of(number)
        shown = ', '.join(sample_name(self.dataset, index) for index in indices[:most])
        left = len(indices) - len(indices[:most])
        return (shown or super().names(number)) + (f' and {left} more' if left else '')
