"""Moves the momentum branch once per optimizer step."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from symmim_mm.registry import HOOKS


@HOOKS.register_module()
class MomentumUpdateHook(Hook):
    """Calls ``model.update_momentum`` after every iteration that stepped the optimizer.

    With gradient accumulation that is once per accumulated step, not once per micro-batch. The
    value of ``m`` used is logged as ``ema_momentum``.
    """

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None):
        if not runner.optim_wrapper.should_update():
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        momentum = model.update_momentum((runner.iter + 1) / runner.max_iters)
        runner.message_hub.update_scalar('train/ema_momentum', momentum)
