"""Data loaders that tell what a loader worker was reading when it died or hung."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from symmim_mm.engine.runner.unreadable import sample_name
from symmim_mm.utils.errors import RESUME, Fault, UserError, describe_exit, worker_death

DEATH_S = 1  # within which a worker whose connection broke has really ended


class WatchedDataset(Dataset):
    """A data set of which it is known what each loader worker is reading.

    Any other attribute is that of the data set within.

    Args:
        dataset: of any of the libraries.
        workers: loader workers that will read it.
    """

    def __init__(self, dataset: Dataset, workers: int = 0) -> None:
        self.dataset = dataset
        # The index that each worker is reading, or -1, in memory that they share with this
        # process: one that a picture has killed cannot say which it was.
        self.reading = torch.full((workers,), -1).share_memory_()

    def __getitem__(self, index: int) -> Any:
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
        # Not `__getitems__`, which would fetch a batch past the above, nor what pickle asks for
        # before there is a data set.
        if name.startswith('__') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)


class WatchedLoader(DataLoader):
    """A data loader like another one, whose workers do not die or hang without a word.

    Args:
        loader: as MMEngine builds it from a config. It has not been iterated.
        option: its name in a config, for messages.
        again: what to do after a fault, for messages.
        dataset: in place of the loader's own.
        batches: in place of the loader's own batch sampler.
    """

    def __init__(
        self,
        loader: DataLoader,
        option: str,
        again: str = RESUME,
        dataset: WatchedDataset | None = None,
        batches: Sampler | None = None,
    ) -> None:
        super().__init__(
            dataset or WatchedDataset(loader.dataset, loader.num_workers),
            batch_sampler=batches or loader.batch_sampler,
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
        self.__dict__['batch_size'] = loader.batch_size or loader.batch_sampler.batch_size
        self.option = option
        self.again = again
        self.workers: list[BaseProcess] = []

    def __iter__(self) -> Iterator[Any]:
        return self._watched(self._started())

    def _started(self) -> Iterator[Any]:
        """torch's iterator, with its workers."""
        self.workers = []
        iterator = super().__iter__()
        self.workers = getattr(iterator, '_workers', [])
        return iterator

    def _watched(self, iterator: Iterator[Any], number: int = 0) -> Iterator[Any]:
        """The batches, of which the first is that of iteration ``number``."""
        while True:
            # torch looks after them only when all of them were started, and a library may take
            # the error that it raises then for one of its own and go on.
            if any(worker.exitcode for worker in self.workers):
                raise RuntimeError('DataLoader worker exited')
            try:
                batch = next(iterator)
            except StopIteration:
                return
            except RuntimeError as error:
                if 'DataLoader timed out' not in str(error):
                    raise
                at = self._read_by(range(self.num_workers)) or self.names(number)
                raise Fault(
                    f'no batch for iteration {number + 1} from the loader workers within '
                    f'{self.timeout:g} seconds: one of them hangs, at {at}'
                ) from error
            except (ConnectionError, EOFError) as error:
                # torch notices dead workers while it waits, but not while it fetches a batch.
                if not self.num_workers:
                    raise
                raise RuntimeError(
                    f'DataLoader worker exited while it gave the batch of iteration {number + 1}'
                ) from error
            yield batch
            number += 1

    @contextmanager
    def deaths_told(self) -> Iterator[None]:
        """For all that is done with the batches: torch tells of a dead worker at any moment.

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
            at = self._read_by(dead if self.workers else range(self.num_workers))
            if not dead and not at:  # of another loader, or none is known
                raise
            ends = {describe_exit(self.workers[number].exitcode) for number in dead}
            told = f'a DataLoader worker {" and ".join(ends)}' if dead else str(death).rstrip('. ')
            if at:
                told += f', reading {at}; if one dies there again, mend or remove it'
            raise Fault(
                f'{told}; if the memory is short, fewer {self.option}.num_workers help; '
                f'{self.again}'
            ) from error

    def _read_by(self, workers: Sequence[int]) -> str:
        indices = self.dataset.reading[list(workers)].tolist()
        return ', '.join(sample_name(self.dataset, index) for index in indices if index >= 0)

    def names(self, number: int) -> str:
        """The pictures of one of the latest iterations (from 0), in words."""
        return 'pictures unknown'
