"""A data loader that can start at any batch, with samples that depend on the position alone."""

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from typing import Any

from mmengine.dist import get_rank, get_world_size
from torch.utils.data import DataLoader, Sampler

from symmim_mm.engine.runner.fault_reporting_loader import FaultReportingLoader
from symmim_mm.engine.runner.seeded_dataset import (
    Draw,
    SampleWithSkips,
    SeededDataset,
    UnreadableImage,
    collate_with_skips,
)

REMEMBERED = 512  # batches whose images can still be named


class ResumableBatches(Sampler):
    """The batches of a batch sampler from any batch on, with each sample's position in the run.

    Which batches an epoch has, and in which order, is left to the samplers of the libraries,
    which are functions of (seed, epoch); those before the start are drawn and dropped, which
    costs no reading of data.

    Args:
        batches: a batch sampler; its sampler may have ``set_epoch`` or, if endless, ``skip``.
        batch_size: samples of a full batch.
        accumulation: micro-batches of an optimizer step. An epoch is a whole number of steps, so
            that no checkpoint falls within one; the batches left over are not used.
        endless: continue with the next epoch where one ends, for runs that count iterations.
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

    def start_at(self, epoch: int, start: int) -> None:
        """Let the next ``iter`` begin with batch ``start`` of an epoch, or of the whole run."""
        self.epoch = epoch
        self.start = start

    @property
    def first_iteration(self) -> int:
        """Iteration of the run (from 0) that the next ``iter`` begins with."""
        return self.start if self.endless else self.epoch * len(self) + self.start

    def __iter__(self) -> Iterator[list[Draw]]:
        first = self.first_iteration
        self.recent.clear()
        rank, ranks = get_rank(), get_world_size()
        for iteration, indices in enumerate(self._from_start(), first):
            self.recent.append((iteration, indices))
            position = iteration * self.batch_size
            yield [(index, (position + i) * ranks + rank) for i, index in enumerate(indices)]

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
        """Return the samples of one of the latest iterations; none where they are forgotten."""
        return next((indices for number, indices in self.recent if number == iteration), [])


class ResumableLoader(FaultReportingLoader):
    """A data loader like another one, over its dataset and batches, with :meth:`start_at`.

    ``loader`` is as MMEngine builds it from a config and has not been iterated; ``seed`` is that of
    the run; the rest as in :class:`ResumableBatches`.
    """

    def __init__(
        self, loader: DataLoader, seed: int, accumulation: int = 1, endless: bool = False
    ) -> None:
        batch_size = loader.batch_size or loader.batch_sampler.batch_size
        super().__init__(
            loader,
            'train_dataloader',
            dataset=SeededDataset(loader.dataset, seed, loader.num_workers),
            batches=ResumableBatches(loader.batch_sampler, batch_size, accumulation, endless),
        )
        self.skipped: list[UnreadableImage] = []

    def skip_unreadable(self) -> None:
        """Replace unreadable images by others from the next ``iter`` on.

        Those skipped for the batch that was given last are in ``skipped``.
        """
        if not self.dataset.skips:
            self.dataset.skips = True
            self.collate_fn = partial(collate_with_skips, self.collate_fn)

    def start_at(self, epoch: int, start: int) -> None:
        """Do as :meth:`ResumableBatches.start_at`; takes effect with the next ``iter``."""
        self.batch_sampler.start_at(epoch, start)

    def __iter__(self) -> Iterator[Any]:
        return self._without_skips(self._reporting(self.batch_sampler.first_iteration))

    def _without_skips(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            if isinstance(batch, SampleWithSkips):
                batch, self.skipped = batch
            yield batch

    def image_names(self, iteration: int, most: int | None = 4) -> str:
        """Return the images of one of the latest iterations (from 0); ``None`` for all."""
        indices = self.batch_sampler.indices_of(iteration)
        shown = ', '.join(self.dataset.name(index) for index in indices[:most])
        left = len(indices) - len(indices[:most])
        return (shown or super().image_names(iteration)) + (f' and {left} more' if left else '')
