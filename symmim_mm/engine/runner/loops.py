"""MMEngine's loops, resumable at any iteration, with one-line reports of dead loader workers."""

from functools import partial
from typing import Any

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner, TestLoop, ValLoop
from torch.utils.data import DataLoader

from symmim_mm.engine.runner.resumable_loader import ResumableLoader
from symmim_mm.registry import LOOPS
from symmim_mm.utils.errors import START_AGAIN


class OverResumableLoader:
    """Mixin for loops: their data come from a :class:`ResumableLoader` with these ``options``."""

    dataloader: ResumableLoader
    options: dict[str, Any] = {}

    def __init__(self, runner: Runner, dataloader: dict | DataLoader, **kwargs: object) -> None:
        different = runner._randomness_cfg.get('diff_rank_seed', False)  # as MMEngine's BaseLoop
        loader = runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=different)
        loader = ResumableLoader(loader, runner.seed, **self.options)
        super().__init__(runner, loader, **kwargs)

    def run(self) -> Any:
        """Run the loop; a dead loader worker ends it with one line that names its image."""
        with self.dataloader.report_deaths():
            return super().run()


@LOOPS.register_module()
class ResumableEpochLoop(OverResumableLoader, EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that also resumes within an epoch.

    MMEngine's starts the epoch again. Gradient accumulation never crosses the end of an epoch: an
    epoch has a whole number of optimizer steps, as many on one GPU as on eight.
    """

    def __init__(self, runner: Runner, dataloader: dict | DataLoader, **kwargs: object) -> None:
        self.options = dict(accumulation=runner.cfg.optim_wrapper.get('accumulative_counts', 1))
        super().__init__(runner, dataloader, **kwargs)

    def run_epoch(self) -> None:
        """Run the rest of the epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        start = self._iter - self._epoch * len(self.dataloader)
        self.dataloader.start_at(self._epoch, start)
        for index, batch in enumerate(self.dataloader, start):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


@LOOPS.register_module()
class ResumableIterLoop(OverResumableLoader, IterBasedTrainLoop):
    """``IterBasedTrainLoop`` whose data and random numbers depend on (seed, iteration) alone.

    MMEngine's restores the position in the order of the images, but not the random numbers of the
    augmentations and of the model.
    """

    options = dict(endless=True)

    def __init__(self, runner: Runner, dataloader: dict | DataLoader, **kwargs: object) -> None:
        super().__init__(runner, dataloader, **kwargs)
        # MMEngine makes its iterator with the first batch, and skips those before it by this.
        self.dataloader_iterator.skip_iter = partial(self.dataloader.start_at, 0)


@LOOPS.register_module()
class FaultReportingValLoop(OverResumableLoader, ValLoop):
    """``ValLoop`` over a :class:`ResumableLoader`."""

    options = dict(option='val_dataloader')


@LOOPS.register_module()
class FaultReportingTestLoop(OverResumableLoader, TestLoop):
    """``TestLoop`` over a :class:`ResumableLoader`."""

    options = dict(option='test_dataloader', again=START_AGAIN)
