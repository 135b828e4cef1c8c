"""``--compile``: torch.compile of the part of a training step that it can take whole."""

import torch
from mmcv.cnn.bricks import DropPath
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import nn

from symmim_mm.registry import HOOKS


def compile_model(model: nn.Module, **options) -> None:
    """Compile, in place, the loss of a pre-training or the backbone of a transfer.

    MMEngine's own switch compiles ``train_step`` with the optimizer and the logging inside, which
    breaks into many graphs. The loss of a pre-training goes through the compiler in one graph.
    The heads of the transfers work on lists of objects of varying sizes: there the backbone
    alone is compiled.

    Args:
        model: not wrapped for several processes.
        **options: of ``torch.compile``.
    """
    for module in model.modules():
        if isinstance(module, DropPath):
            # MMPretrain leaves a NumPy number here, at which the compiler breaks the graph: once
            # for every residual branch.
            module.drop_prob = float(module.drop_prob)
    if isinstance(model, BaseSelfSupervisor):
        model.loss = torch.compile(model.loss, **options)
    else:
        model.backbone.forward = torch.compile(model.backbone.forward, **options)


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles the model, once it is initialised, before the first step."""

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        compile_model(model)
        runner.logger.info('the model is compiled: the first steps take long')
