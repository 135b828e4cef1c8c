"""MMEngine's loops of validation and test, whose loader workers do not die without a word."""

from typing import Any

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner, TestLoop, ValLoop
from torch.utils.data import DataLoader

from symmim_mm.engine.runner.watched_loader import WatchedLoader
from symmim_mm.registry import LOOPS
from symmim_mm.utils.errors import START_AGAIN


def watch_loops(cfg: Config) -> None:
    """Put our loops in the places of MMEngine's, where a config has them; other types stay."""
    for name, kind in (('val_cfg', 'ValLoop'), ('test_cfg', 'TestLoop')):
        if cfg.get(name) is not None and cfg[name].get('type', kind) == kind:
            cfg[name].type = f'symmim_mm.Watched{kind}'


def build_loader(runner: Runner, dataloader: dict | DataLoader) -> DataLoader:
    """Build the data of a loop as MMEngine's ``BaseLoop`` does."""
    different = runner._randomness_cfg.get('diff_rank_seed', False)
    return runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=different)


@LOOPS.register_module()
class WatchedValLoop(ValLoop):
    """``ValLoop`` in which a dead loader worker ends in one line, with its picture."""

    dataloader: WatchedLoader

    def __init__(
        self, runner: Runner, dataloader: dict | DataLoader, evaluator: Evaluator, **kwargs: Any
    ) -> None:
        loader = WatchedLoader(build_loader(runner, dataloader), 'val_dataloader')
        super().__init__(runner, loader, evaluator, **kwargs)

    def run(self) -> dict:
        """As MMEngine's."""
        with self.dataloader.deaths_told():
            return super().run()


@LOOPS.register_module()
class WatchedTestLoop(TestLoop):
    """``TestLoop`` in which a dead loader worker ends in one line, with its picture."""

    dataloader: WatchedLoader

    def __init__(
        self, runner: Runner, dataloader: dict | DataLoader, evaluator: Evaluator, **kwargs: Any
    ) -> None:
        loader = build_loader(runner, dataloader)
        loader = WatchedLoader(loader, 'test_dataloader', again=START_AGAIN)
        super().__init__(runner, loader, evaluator, **kwargs)

    def run(self) -> dict:
        """As MMEngine's."""
        with self.dataloader.deaths_told():
            return super().run()
