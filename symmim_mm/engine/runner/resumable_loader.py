"""A data loader that can start at any batch, with samples that depend on the position alone."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count, islice
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from torch.utils.data import DataLoader, Sampler

from symmim_mm.engine.runner.seeded_dataset import (
    Draw,
    SampleWithSkips,
    SeededDataset,
    UnreadableImage,
    collate_with_skips,
)
from symmim_mm.engine.runner.worker_signals import SIGNALS, outlive_signals
from symmim_mm.utils.errors import RESUME, Fault, UserError, describe_exit, worker_death
from symmim_mm.utils.signals import defer_interrupts
from symmim_mm.utils.text import visible

REMEMBERED = 512  # batches whose images can still be named
DEATH_S = 1  # within which a worker whose connection broke has really ended


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
        # To the end of the sampler, also past the last batch: MMDetection's AspectRatioBatchSampler
        # keeps what it holds back from one epoch to the next unless it is run to its end.
        return (batch for i, batch in enumerate(self.batches) if self.start <= i < len(self))

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


class ResumableLoader(DataLoader):
    """A data loader like another one that starts anywhere, and reports workers that die or hang.

    Args:
        loader: as MMEngine builds it from a config. It has not been iterated.
        seed: of the run.
        option: the loader's name in a config, for messages.
        again: what to do after a fault, for messages.
        accumulation: as of :class:`ResumableBatches`.
        endless: likewise.
    """

    def __init__(
        self,
        loader: DataLoader,
        seed: int,
        option: str = 'train_dataloader',
        again: str = RESUME,
        accumulation: int = 1,
        endless: bool = False,
    ) -> None:
        batch_size = loader.batch_size or loader.batch_sampler.batch_size
        super().__init__(
            SeededDataset(loader.dataset, seed, loader.num_workers),
            batch_sampler=ResumableBatches(loader.batch_sampler, batch_size, accumulation, endless),
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            # From pinned memory a batch travels to the GPU while the step before it runs.
            pin_memory=loader.pin_memory or torch.cuda.is_available(),
            timeout=loader.timeout,
            worker_init_fn=partial(outlive_signals, loader.worker_init_fn),
            multiprocessing_context=loader.multiprocessing_context,
            generator=loader.generator,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
            pin_memory_device=loader.pin_memory_device,
            in_order=loader.in_order,
        )
        # torch leaves it None where there is a batch sampler, and forbids setting it.
        self.__dict__['batch_size'] = batch_size
        self.option = option
        self.again = again
        self.workers: list[BaseProcess] = []
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
        """Start the workers, and return the batches."""
        first = self.batch_sampler.first_iteration
        self.workers = []
        if not self.num_workers:
            return self._batches(super().__iter__(), first)
        context = self.multiprocessing_context or multiprocessing
        # Ctrl-C waits, too: torch does not end workers in order some of which were not started yet.
        with defer_interrupts(context.get_start_method() == 'fork', SIGNALS):
            iterator = super().__iter__()
        self.workers = iterator._workers
        return self._batches(iterator, first)

    def _batches(self, iterator: Iterator[Any], iteration: int) -> Iterator[Any]:
        while True:
            # torch looks after them only when all of them were started, and a library may take
            # the error that it raises then for one of its own and continue.
            if any(worker.exitcode for worker in self.workers):
                raise RuntimeError('DataLoader worker exited')
            try:
                batch = next(iterator)
            except StopIteration:
                return
            except RuntimeError as error:
                if 'DataLoader timed out' not in str(error):
                    raise
                names = self._being_read(range(self.num_workers)) or self.image_names(iteration)
                raise Fault(
                    f'no batch for iteration {iteration + 1} from the loader workers within '
                    f'{self.timeout:g} seconds: one of them hangs, at {names}'
                ) from error
            except (ConnectionError, EOFError) as error:
                # torch notices dead workers while it waits, but not while it fetches a batch.
                if not self.num_workers:
                    raise
                raise RuntimeError(
                    f'DataLoader worker exited while it sent the batch of iteration {iteration + 1}'
                ) from error
            if isinstance(batch, SampleWithSkips):
                batch, self.skipped = batch
            yield batch
            iteration += 1

    @contextmanager
    def report_deaths(self) -> Iterator[None]:
        """Report a dead worker; for a block with all that is done with the batches.

        torch raises its error about a dead worker at any moment, in the midst of any code.

        Raises:
            Fault: a worker of this loader died; with the sample that it was reading.
        """
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            death = worker_death(error)
            if death is None:
                raise
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's would raise another error
            ended = wait([worker.sentinel for worker in self.workers], DEATH_S)
            for worker in self.workers:
                if worker.sentinel in ended:
                    worker.join(DEATH_S)
            dead = [number for number, worker in enumerate(self.workers) if worker.exitcode]
            # Of those that die while others are started it is not known which they are.
            names = self._being_read(dead if self.workers else range(self.num_workers))
            if not dead and not names:  # of another loader, or none is known
                raise
            ends = {describe_exit(self.workers[number].exitcode) for number in dead}
            what = f'a DataLoader worker {" and ".join(ends)}' if dead else str(death).rstrip('. ')
            if names:
                what += f', reading {names}; if one dies there again, fix or remove it'
            raise Fault(
                f'{what}; if the memory is short, fewer {self.option}.num_workers help; '
                f'{self.again}'
            ) from error

    def _being_read(self, workers: Iterable[int]) -> str:
        indices = self.dataset.reading[list(workers)].tolist()
        return ', '.join(visible(self.dataset.name(index)) for index in indices if index >= 0)

    def image_names(self, iteration: int, most: int | None = 4) -> str:
        """Return the images of one of the latest iterations (from 0); ``None`` for all."""
        indices = self.batch_sampler.indices_of(iteration)
        shown = ', '.join(visible(self.dataset.name(index)) for index in indices[:most])
        left = len(indices) - len(indices[:most])
        return (shown or 'unknown images') + (f' and {left} more' if left else '')
