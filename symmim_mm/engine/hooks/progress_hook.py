"""Progress of a training on the terminal."""

import atexit
from contextlib import ExitStack

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from symmim_mm.registry import HOOKS
from symmim_mm.utils.progress import ProgressDisplay

LINES = 20  # in a whole run, where there is no terminal


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows steps, loss and the time that is left, on stderr."""

    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        """Start the bar."""
        self.display, self.shown = None, ExitStack()
        if is_main_process():
            self.display = self.shown.enter_context(ProgressDisplay(transient=False))
            self.bar = self.display.add('steps', runner.max_iters, runner.iter)
            atexit.register(self.shown.close)  # a run that fails must give the cursor back

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Advance by a step."""
        if self.display is None:
            return
        done = runner.iter + 1
        history = runner.message_hub.log_scalars.get('train/loss')
        text = f'loss {history.mean(50):.4f}' if history else ''
        before, now = (step * LINES // runner.max_iters for step in (runner.iter, done))
        if self.display.live:
            self.display.update(self.bar, done, text)
        elif now > before:
            self.display.print(f'step {done} of {runner.max_iters}, {text}')

    def after_train(self, runner: Runner) -> None:
        """Stop the bar."""
        self.shown.close()
