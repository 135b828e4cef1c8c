"""Hooks for training data: a time limit for loader workers, and images that cannot be read."""

from pathlib import Path

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from symmim_mm.engine.faults import tolerate
from symmim_mm.engine.runner.resumable_loader import ResumableLoader
from symmim_mm.engine.runner.seeded_dataset import UnreadableImage
from symmim_mm.registry import HOOKS
from symmim_mm.utils.errors import RESUME, UserError
from symmim_mm.utils.text import visible

COUNT = 'unreadable_images'
SEEN = 'images_seen'
LIST = 'unreadable.txt'
SHARED_EVERY = 50  # iterations, between several processes
TEXT = dict(encoding='utf-8', errors='surrogateescape', newline='\n')  # names of any bytes


@HOOKS.register_module()
class LoaderTimeoutHook(Hook):
    """Limits the time to wait for a batch from loader workers.

    A worker that dies is noticed at once, whatever the timeout.

    Args:
        timeout: seconds without a batch after which the run ends; 0 waits for ever. Reading a
            batch from a cold network file system takes long, so be generous.
    """

    def __init__(self, timeout: float = 600) -> None:
        self.timeout = timeout

    def limit(self, loader: DataLoader) -> None:
        """Set the timeout of a loader that has not been iterated yet."""
        if loader.num_workers:  # torch refuses a timeout without them
            loader.timeout = self.timeout

    def before_train(self, runner: Runner) -> None:
        """Limit the loaders of training and validation."""
        self.limit(runner.train_dataloader)
        if runner.val_loop is not None:
            self.limit(runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Limit the loader of a test."""
        self.limit(runner.test_dataloader)


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """Replaces unreadable images of a pre-training by others of the dataset, up to a limit.

    The replacement is a function of (seed, position in the run), so that resuming stays exact.
    Each image is listed once in ``<work_dir>/unreadable.txt``, path and reason separated by a tab.
    Their number, over all processes and attempts at the run and as often as they were drawn, is
    logged as ``unreadable_images``. Several processes add up their counts every ``SHARED_EVERY``
    iterations; a run that is stopped in between forgets what it has counted since.

    Args:
        most_share: of the images drawn; above it the run stops. 0 to 1.
        least_seen: images that must have been drawn before the share is looked at.
    """

    def __init__(self, most_share: float = 0.01, least_seen: int = 500) -> None:
        what = 'of UnreadableImagesHook must be'
        if not 0 <= most_share <= 1:
            raise UserError(f'most_share {what} from 0 to 1, got {most_share}')
        if least_seen < 1:
            raise UserError(f'least_seen {what} 1 or more, got {least_seen}')
        self.most_share = most_share
        self.least_seen = least_seen

    def before_train(self, runner: Runner) -> None:
        """Let the loader skip unreadable images, and take up the counts of earlier attempts."""
        loader = runner.train_dataloader
        if not isinstance(loader, ResumableLoader):
            raise UserError(
                f'{type(loader).__name__} cannot skip images: start the run with tools/train.py, '
                'or leave UnreadableImagesHook out'
            )
        loader.skip_unreadable()
        self.counts = [int(runner.message_hub.get_info(name, 0)) for name in (SEEN, COUNT)]
        self.new = [0, 0]
        self.path = Path(runner.work_dir, LIST)
        self.listed: set[str] = set()

    def after_train_iter(self, runner: Runner, **_: object) -> None:
        """Count and list what the loader skipped for this batch."""
        loader = runner.train_dataloader
        self.new[0] += loader.batch_size + len(loader.skipped)
        self.new[1] += len(loader.skipped)
        for image in loader.skipped:
            self._list(runner, image)
        if get_world_size() == 1 or self.every_n_train_iters(runner, SHARED_EVERY):
            self._share(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Add up the counts of all processes."""
        self._share(runner)

    def _share(self, runner: Runner) -> None:
        new = torch.tensor(self.new)
        all_reduce(new)
        self.new = [0, 0]
        seen, count = self.counts = [a + b for a, b in zip(self.counts, new.tolist(), strict=True)]
        runner.message_hub.update_info(SEEN, seen)
        if not count:
            return
        runner.message_hub.update_info(COUNT, count)
        runner.message_hub.update_scalar(f'train/{COUNT}', count)
        if seen >= self.least_seen and count > self.most_share * seen:
            raise UserError(
                f'{count} of {seen} images cannot be read, more than {self.most_share:.2%}: fix or '
                f'remove those listed in {self.path}, then {RESUME}'
            )

    def _list(self, runner: Runner, image: UnreadableImage) -> None:
        name, reason = (' '.join(part.replace('\t', ' ').split('\n')) for part in image)
        if name in self.listed:
            return
        with tolerate(runner.logger, 'a skipped image is not listed'):
            if self.path.exists():  # other processes and earlier attempts write here, too
                with open(self.path, **TEXT) as file:
                    self.listed.update(line.split('\t')[0] for line in file)
            if name not in self.listed:
                with open(self.path, 'a', **TEXT) as file:
                    file.write(f'{name}\t{reason}\n')
        self.listed.add(name)
        runner.logger.warning(f'skipped an image: {visible(reason)}')
