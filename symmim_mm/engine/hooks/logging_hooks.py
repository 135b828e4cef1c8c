"""Logging without waiting for the GPU, without growing histories, and despite a full disk."""

import logging

from mmengine.dist import master_only
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from symmim_mm.engine.faults import tolerate
from symmim_mm.registry import HOOKS
from symmim_mm.utils.async_scalars import AsyncScalars

LEAST_HISTORY = 1000
LOST = 'scalars cannot be written'


@HOOKS.register_module()
class AsyncRuntimeInfoHook(RuntimeInfoHook):
    """``RuntimeInfoHook`` that does not wait for the losses of a GPU.

    MMEngine's hook waits in every iteration, and meanwhile the GPU gets no new work. Here losses
    on a GPU are logged two iterations later; those of the last iterations are waited for at the
    end of an epoch and of the training, and before a checkpoint is saved. On a CPU nothing differs.

    MMEngine keeps the last million values of every scalar, copies them all to add one, and saves
    them in every checkpoint. Here only those are kept that can still be asked for.
    """

    def before_train(self, runner: Runner) -> None:
        """Decide how much of each history to keep."""
        super().before_train(runner)
        self.pending = AsyncScalars()
        self.lengths = history_lengths(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """Log what is on the CPU now, and what is on a GPU two iterations later."""
        outputs = outputs or {}
        on_gpu = {k: v for k, v in outputs.items() if isinstance(v, Tensor) and v.is_cuda}
        others = {k: v for k, v in outputs.items() if k not in on_gpu}
        super().after_train_iter(runner, batch_idx, data_batch, others)
        if on_gpu:
            self.pending.put(on_gpu)
        self._log(runner)
        for name, history in runner.message_hub.log_scalars.items():
            history.max_length = self.lengths.get(name.partition('/')[0], history.max_length)

    def after_train_epoch(self, runner: Runner) -> None:
        """Wait for the last losses of the epoch."""
        self._log(runner, lag=0)

    def after_train(self, runner: Runner) -> None:
        """Wait for the last losses of the training."""
        self._log(runner, lag=0)
        super().after_train(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Wait for all losses that the checkpoint is to hold."""
        if hasattr(self, 'pending'):
            self._log(runner, lag=0)

    def _log(self, runner: Runner, lag: int | None = None) -> None:
        for scalars in self.pending.take(lag):
            for name, value in scalars.items():
                runner.message_hub.update_scalar(f'train/{name}', value)


def history_lengths(runner: Runner) -> dict[str, int]:
    """Return how many values of each phase's scalars the log or the record may still ask for.

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
class SafeLoggerHook(LoggerHook):
    """``LoggerHook`` that warns of what cannot be written, and continues.

    The metrics of a test are written by rank 0 alone: with MMEngine's hook all ranks write the
    same file at once, which mixes their texts.
    """

    def before_run(self, runner: Runner) -> None:
        """Silence the log file's handler, which prints a traceback for every line it loses."""
        super().before_run(runner)
        for handler in runner.logger.handlers:
            if isinstance(handler, logging.FileHandler):
                handler.handleError = lambda record: None

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Log an iteration, if the disk takes it."""
        with tolerate(runner.logger, LOST):
            super().after_train_iter(runner, *args, **kwargs)

    def after_val_epoch(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Log a validation, if the disk takes it."""
        with tolerate(runner.logger, LOST):
            super().after_val_epoch(runner, *args, **kwargs)

    @master_only
    def after_test_epoch(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Log a test and write its metrics, on rank 0."""
        super().after_test_epoch(runner, *args, **kwargs)
