"""Passes over pictures that cannot be read, counts and lists them, and stops at too many."""

from pathlib import Path

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from symmim_mm.engine.runner.resumable_loader import PositionedLoader
from symmim_mm.engine.runner.unreadable import Unreadable
from symmim_mm.registry import HOOKS
from symmim_mm.utils.errors import UserError

COUNT = 'unreadable_pictures'
SEEN = 'pictures_seen'
LIST = 'unreadable.txt'
SHARED_EVERY = 50  # iterations, between several processes
TEXT = dict(encoding='utf-8', errors='surrogateescape', newline='\n')  # names of any bytes


@HOOKS.register_module()
class UnreadableHook(Hook):
    """For pre-trainings: a picture that cannot be read is replaced by another one of the data set.

    The replacement is a function of (seed, place in the run), so that resuming stays exact. Each
    picture is listed once in ``<work_dir>/unreadable.txt``, its path and the reason with a tab
    between them. Their number, over all processes and attempts at the run and as often as they were
    drawn, is logged as ``unreadable_pictures``. Several processes tell each other every
    ``SHARED_EVERY`` iterations; a run that is stopped between forgets what it counted since.

    Args:
        most_share: of the pictures drawn; above it the run stops. 0 to 1.
        least_seen: pictures that must have been drawn before the share is looked at.

    Raises:
        UserError: an option outside its range, or a loader without places (of ``Runner``'s own
            loops).
    """

    def __init__(self, most_share: float = 0.01, least_seen: int = 500) -> None:
        if not 0 <= most_share <= 1:
            raise UserError(f'most_share of UnreadableHook must be from 0 to 1, got {most_share}')
        if least_seen < 1:
            raise UserError(f'least_seen of UnreadableHook must be 1 or more, got {least_seen}')
        self.most_share = most_share
        self.least_seen = least_seen

    def before_train(self, runner: Runner) -> None:
        loader = runner.train_dataloader
        if not isinstance(loader, PositionedLoader):
            raise UserError(
                f'{type(loader).__name__} does not pass over pictures: start the run with '
                'tools/train.py, or leave UnreadableHook out'
            )
        loader.pass_over_unreadable()
        self.counts = [int(runner.message_hub.get_info(name, 0)) for name in (SEEN, COUNT)]
        self.new = [0, 0]
        self.path = Path(runner.work_dir, LIST)
        self.listed: set[str] = set()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None):
        loader = runner.train_dataloader
        passed = loader.unreadable
        self.new[0] += loader.batch_size + len(passed)
        self.new[1] += len(passed)
        for picture in passed:
            self._list(runner, picture)
        if get_world_size() == 1 or self.every_n_train_iters(runner, SHARED_EVERY):
            self._share(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self._share(runner)

    def _share(self, runner: Runner) -> None:
        new = torch.tensor(self.new)
        if get_world_size() > 1:
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
                f'{count} of {seen} pictures cannot be read, more than {self.most_share:.2%}: '
                f'mend or remove those listed in {self.path}, then go on with --resume'
            )

    def _list(self, runner: Runner, picture: Unreadable) -> None:
        name, reason = (' '.join(part.replace('\t', ' ').split('\n')) for part in picture)
        if name in self.listed:
            return
        try:
            if self.path.exists():  # other processes and earlier attempts write here, too
                with open(self.path, **TEXT) as file:
                    self.listed.update(line.split('\t')[0] for line in file)
            if name not in self.listed:
                with open(self.path, 'a', **TEXT) as file:
                    file.write(f'{name}\t{reason}\n')
        except OSError as error:
            runner.logger.error(f'{error.strerror}: {self.path}')
        self.listed.add(name)
        shown = reason.encode('utf-8', 'backslashreplace').decode()
        runner.logger.warning(f'passed over a picture: {shown}')
