"""Losses reach the log without the training waiting for them."""

from mmengine.hooks import RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from symmim_mm.engine.late_numbers import LateQueue
from symmim_mm.registry import HOOKS


@HOOKS.register_module()
class LateRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's ``RuntimeInfoHook``, which in every iteration waits for a GPU's losses.

    While it waits, nothing new is given to the GPU to do. Here losses that lie on a GPU are noted
    two iterations later; those of the last iterations are waited for at the end of an epoch, of
    the training, and before a checkpoint is saved. On a CPU nothing differs.
    """

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        self.late = LateQueue()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None):
        outputs = outputs or {}
        late = {
            name: value
            for name, value in outputs.items()
            if isinstance(value, Tensor) and value.is_cuda
        }
        at_once = {name: value for name, value in outputs.items() if name not in late}
        super().after_train_iter(runner, batch_idx, data_batch, at_once)
        if late:
            self.late.put(late)
        self._note(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self._note(runner, lag=0)

    def after_train(self, runner: Runner) -> None:
        self._note(runner, lag=0)
        super().after_train(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if hasattr(self, 'late'):
            self._note(runner, lag=0)

    def _note(self, runner: Runner, lag: int | None = None) -> None:
        for name, value in self.late.take(lag):
            runner.message_hub.update_scalar(f'train/{name}', value)
