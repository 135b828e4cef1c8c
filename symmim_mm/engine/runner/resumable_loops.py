"""MMEngine's training loops, able to go on at any iteration with the data that belong there."""

from typing import Any

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from symmim_mm.engine.runner.resumable_loader import PositionedLoader
from symmim_mm.engine.runner.watched_loops import build_loader
from symmim_mm.registry import LOOPS

RESUMABLE = {
    'EpochBasedTrainLoop': 'symmim_mm.ResumableEpochLoop',
    'IterBasedTrainLoop': 'symmim_mm.ResumableIterLoop',
}


def positioned_loader(
    runner: Runner, dataloader: dict | DataLoader, endless: bool
) -> PositionedLoader:
    """Build the training data of a runner, seeded by place and aligned to optimizer steps."""
    loader = build_loader(runner, dataloader)
    accumulation = 1 if endless else runner.cfg.optim_wrapper.get('accumulative_counts', 1)
    return PositionedLoader(loader, runner.seed, accumulation, endless)


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that also resumes within an epoch.

    MMEngine's begins the epoch again. Gradient accumulation never reaches over an epoch's end: an
    epoch has a whole number of optimizer steps, as many on one GPU as on eight.
    """

    dataloader: PositionedLoader

    def __init__(self, runner: Runner, dataloader: dict | DataLoader, **kwargs: Any) -> None:
        super().__init__(runner, positioned_loader(runner, dataloader, endless=False), **kwargs)

    def run(self) -> nn.Module:
        """As MMEngine's; a dead loader worker ends in one line, with its picture."""
        with self.dataloader.deaths_told():
            return super().run()

    def run_epoch(self) -> None:
        """Run what is left of the epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        start = self._iter - self._epoch * len(self.dataloader)
        self.dataloader.go_to(self._epoch, start)
        for index, batch in enumerate(self.dataloader, start):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


class EndlessBatches:
    """What ``IterBasedTrainLoop`` draws from: batch after batch, from the first or a later one."""

    def __init__(self, loader: PositionedLoader) -> None:
        self.loader = loader
        self.iterator = None

    def skip_iter(self, count: int) -> None:
        """Begin with batch ``count`` of the run; called once, before the first is drawn."""
        self.loader.go_to(0, count)

    def __next__(self) -> Any:
        if self.iterator is None:
            self.iterator = iter(self.loader)
        return next(self.iterator)


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """``IterBasedTrainLoop`` whose data and random numbers depend on (seed, iteration) alone.

    MMEngine's finds the place in the order of the pictures again, but not the random numbers of
    the augmentations and of the model.
    """

    dataloader: PositionedLoader

    def __init__(self, runner: Runner, dataloader: dict | DataLoader, **kwargs: Any) -> None:
        super().__init__(runner, positioned_loader(runner, dataloader, endless=True), **kwargs)
        self.dataloader_iterator = EndlessBatches(self.dataloader)

    def run(self) -> None:
        """As MMEngine's; a dead loader worker ends in one line, with its picture."""
        with self.dataloader.deaths_told():
            super().run()
