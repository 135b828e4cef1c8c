"""``--compile``: torch.compile of the part of a training step that it can take whole."""

import os
import stat
from pathlib import Path

import torch
from mmcv.cnn.bricks import DropPath
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import nn
from torch._inductor.runtime.cache_dir_utils import cache_dir

from symmim_mm.registry import HOOKS
from symmim_mm.utils.errors import UserError


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


def check_compile_cache() -> None:
    """Refuse a store of compiled programs that another user may have filled.

    torch keeps it in ``torchinductor_<user>`` in the folder for temporary files, where anybody
    may make a folder of that name first, and runs the programs it finds there.

    Raises:
        UserError: it belongs to another user, or everybody may write into it.
    """
    chosen = 'TORCHINDUCTOR_CACHE_DIR' in os.environ
    folder = Path(cache_dir())
    status = folder.lstat()
    own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not chosen and (not own or status.st_mode & stat.S_IWOTH):
        raise UserError(
            f'--compile: {folder} is not a folder of this user alone, and what lies there would '
            'be run: set TORCHINDUCTOR_CACHE_DIR to another one'
        )


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles the model, once it is initialised, before the first step."""

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_compile_cache()
        compile_model(model)
        runner.logger.info('the model is compiled: the first steps take long')
