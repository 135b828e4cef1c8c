"""A data loader that can start at any batch, with random numbers that depend on the place alone."""

import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from torch.utils.data import DataLoader, Sampler

from symmim_mm.engine.seeded_dataset import Draw, SeededDataset
from symmim_mm.engine.unreadable import Noted, NotedCollate, Unreadable, sample_name
from symmim_mm.errors import Fault

REMEMBERED = 512  # batches whose pictures can still be named
DEATH_S = 1  # within which a worker whose connection broke has really ended


def end_of(exit_code: int) -> str:
    """How a process ended, in words; codes below 0 are signals."""
    if exit_code < 0:
        return f'was killed by {signal.Signals(-exit_code).name}'
    return f'ended with exit code {exit_code}'


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


class PositionedLoader(DataLoader):
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
        batches = PositionedBatches(loader.batch_sampler, batch_size, accumulation, endless)
        super().__init__(
            SeededDataset(loader.dataset, seed, loader.num_workers),
            batch_sampler=batches,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            # From pinned memory a batch travels to the GPU while the step before it runs.
            pin_memory=loader.pin_memory or torch.cuda.is_available(),
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=loader.generator,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
            pin_memory_device=loader.pin_memory_device,
            in_order=loader.in_order,
        )
        # torch forgets it where there is a batch sampler, and refuses to be told.
        self.__dict__['batch_size'] = batch_size
        self.unreadable: list[Unreadable] = []
        self.workers: list[BaseProcess] = []

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
        self.workers = []
        iterator = super().__iter__()
        self.workers = getattr(iterator, '_workers', [])
        # torch looks after them only from the moment on at which all of them were started.
        if any(worker.exitcode for worker in self.workers):
            raise RuntimeError('DataLoader worker exited at its start')
        return self._watched(iterator, first)

    def _watched(self, iterator: Iterator[Any], iteration: int) -> Iterator[Any]:
        while True:
            try:
                batch = next(iterator)
            except StopIteration:
                return
            except RuntimeError as error:
                if 'DataLoader timed out' not in str(error):
                    raise
                at = self._read_by(range(self.num_workers)) or self.names(iteration)
                raise Fault(
                    f'no batch for iteration {iteration + 1} from the loader workers within '
                    f'{self.timeout:g} seconds: one of them hangs, at {at}'
                ) from error
            except (ConnectionError, EOFError) as error:
                # torch notices dead workers while it waits, but not while it fetches a batch.
                if not self.num_workers:
                    raise
                raise RuntimeError(
                    f'DataLoader worker exited while it gave the batch of iteration {iteration + 1}'
                ) from error
            if isinstance(batch, Noted):
                batch, self.unreadable = batch
            yield batch
            iteration += 1

    @contextmanager
    def deaths_told(self) -> Iterator[None]:
        """For all that is done with the batches: torch tells of a dead worker at any moment.

        Raises:
            Fault: a worker died; with the picture that it was reading.
        """
        try:
            yield
        except RuntimeError as error:
            if 'DataLoader worker' not in str(error):
                raise
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's would raise another error
            ended = wait([worker.sentinel for worker in self.workers], DEATH_S)
            for worker in self.workers:
                if worker.sentinel in ended:
                    worker.join(DEATH_S)
            dead = [number for number, worker in enumerate(self.workers) if worker.exitcode]
            ends = {end_of(self.workers[number].exitcode) for number in dead}
            told = f'a DataLoader worker {" and ".join(ends)}' if dead else str(error).rstrip('. ')
            # Of those that die while others are started it is not known which they are.
            if at := self._read_by(dead if self.workers else range(self.num_workers)):
                told += f', reading {at}; if one dies there again, mend or remove it'
            raise Fault(
                f'{told}; if the memory is short, fewer train_dataloader.num_workers help; go on '
                'with --resume'
            ) from error

    def _read_by(self, workers: Sequence[int]) -> str:
        indices = self.dataset.reading[list(workers)].tolist()
        return ', '.join(sample_name(self.dataset, index) for index in indices if index >= 0)

    def names(self, iteration: int, most: int | None = 4) -> str:
        """The pictures of one of the latest iterations (from 0), in words; ``None`` for all."""
        indices = self.batch_sampler.indices_of(iteration)
        shown = ', '.join(sample_name(self.dataset, index) for index in indices[:most])
        left = len(indices) - len(indices[:most])
        return (shown or 'pictures unknown') + (f' and {left} more' if left else '')
