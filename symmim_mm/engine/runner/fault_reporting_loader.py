"""A data loader that reports what a loader worker was reading when it died or hung."""

import multiprocessing
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from symmim_mm.engine.runner.worker_signals import SIGNALS, outlive_signals
from symmim_mm.utils.errors import RESUME, Fault, UserError, describe_exit, worker_death
from symmim_mm.utils.signals import defer_interrupts

DEATH_S = 1  # within which a worker whose connection broke has really ended


class FaultReportingDataset(Dataset):
    """A dataset that notes which sample each of its loader workers is reading.

    Any other attribute is that of the dataset within.
    """

    def __init__(self, dataset: Dataset, workers: int = 0) -> None:
        self.dataset = dataset
        # The index that each worker is reading, or -1, in memory that they share with this
        # process: one that an image has killed cannot say which it was.
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


class FaultReportingLoader(DataLoader):
    """A data loader like another one, which reports workers that die or hang.

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
        dataset: FaultReportingDataset | None = None,
        batches: Sampler | None = None,
    ) -> None:
        super().__init__(
            dataset or FaultReportingDataset(loader.dataset, loader.num_workers),
            batch_sampler=batches or loader.batch_sampler,
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
        self.__dict__['batch_size'] = loader.batch_size or loader.batch_sampler.batch_size
        self.option = option
        self.again = again
        self.workers: list[BaseProcess] = []

    def __iter__(self) -> Iterator[Any]:
        return self._reporting(0)

    def _reporting(self, first: int) -> Iterator[Any]:
        """Start the workers, and return the batches, the first being that of an iteration."""
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
        return ', '.join(self.dataset.name(index) for index in indices if index >= 0)

    def image_names(self, iteration: int) -> str:
        """Return the images of one of the latest iterations (from 0), as far as known."""
        return 'unknown images'
