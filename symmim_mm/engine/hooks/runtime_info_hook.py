"""Losses reach the log without the training waiting for them, and without a history that grows."""

from mmengine.hooks import RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from symmim_mm.registry import HOOKS
from symmim_mm.utils.async_scalars import LateQueue

LEAST_HISTORY = 1000


def history_lengths(runner: Runner) -> dict[str, int]:
    """How many values of each phase's scalars the log, and the run's record, may still ask for.

    An epoch of that phase, the windows of the log processor, and at least ``LEAST_HISTORY``; no
    phase where one of its windows is ``'global'``.
    """
    processor = runner.log_processor
    windows = [processor.window_size, *(one.get('window_size', 1) for one in processor.custom_cfg)]
    if 'global' in windows:
        return {}
    least = max(LEAST_HISTORY, *(size for size in windows if size != 'epoch'))
    loops = dict(train=runner.train_loop, val=runner.val_loop)
    return {name: max(least, len(loop.dataloader)) for name, loop in loops.items() if loop}


@HOOKS.register_module()
class LateRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's ``RuntimeInfoHook``, which in every iteration waits for a GPU's losses.

    While it waits, nothing new is given to the GPU to do. Here losses that lie on a GPU are noted
    two iterations later; those of the last iterations are waited for at the end of an epoch, of
    the training, and before a checkpoint is saved. On a CPU nothing differs.

    MMEngine keeps the last million values of every scalar, copies them all to add one, and saves
    them in every checkpoint. Here only those are kept that somebody may ask for.
    """

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        self.late = LateQueue()
        self.lengths = history_lengths(runner)

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
        for name, history in runner.message_hub.log_scalars.items():
            history.max_length = self.lengths.get(name.partition('/')[0], history.max_length)

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
