"""A progress bar on the terminal."""

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from symmim_mm.registry import HOOKS

LINES = 20  # in a whole run, where there is no terminal


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows steps, loss and the time that is left, on stderr."""

    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        """Start the bar."""
        self.bar = None
        self.console = Console(stderr=True)
        if not is_main_process():
            return
        self.bar = Progress(
            TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(), console=self.console,
            disable=not self.console.is_terminal,
        )  # fmt: skip
        self.task = self.bar.add_task('', total=runner.max_iters, completed=runner.iter)
        self.bar.start()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Advance by a step."""
        if self.bar is None:
            return
        done = runner.iter + 1
        history = runner.message_hub.log_scalars.get('train/loss')
        text = f'loss {history.mean(50):.4f}' if history else ''
        self.bar.update(self.task, completed=done, description=text)
        before, now = (step * LINES // runner.max_iters for step in (runner.iter, done))
        if self.bar.disable and now > before:
            self.console.print(f'step {done} of {runner.max_iters}, {text}')

    def after_train(self, runner: Runner) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
