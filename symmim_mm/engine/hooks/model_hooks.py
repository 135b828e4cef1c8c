"""Hooks that change the model: before training, or after an optimizer step."""

from logging import Logger

import torch
from mmcv.cnn.bricks import DropPath
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import nn

from symmim_mm.checkpoint.backbone import load_backbone, resize_positions
from symmim_mm.checkpoint.heads import named_weights
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.models.backbones.activation_checkpointing import checkpoint_blocks
from symmim_mm.models.base import transformer_blocks
from symmim_mm.registry import HOOKS
from symmim_mm.utils.dist import unwrap

POSITIONS = 'decoder_pos_embed'
MEMORIES = 'memories.'  # keys of the run that was; their number depends on its accumulation
PREDICTION = ('decoder_pred.', 'predict.')  # of MAE's decoder, and of ours


@HOOKS.register_module()
class LoadBackboneHook(Hook):
    """Loads ``model.backbone`` before training and logs the report; ``--backbone`` adds it.

    A pre-training also takes the decoder and the heads, where the file has them at its sizes, and
    its momentum branch starts as the online one.

    MMEngine's own ``init_cfg=dict(type='Pretrained', prefix='backbone.')`` continues with a
    warning when keys do not fit. This stops. A resumed run keeps the weights of its checkpoint.

    Args:
        checkpoint: file to load.
        branch: ``'online'`` or ``'momentum'``, the encoder of a SymMIM checkpoint to take.
    """

    def __init__(self, checkpoint: str, branch: str = 'online') -> None:
        self.checkpoint = checkpoint
        self.branch = branch

    def before_train(self, runner: Runner) -> None:
        """Load the backbone, unless the run was resumed."""
        if runner.iter == 0:
            load_start(unwrap(runner.model), self.checkpoint, self.branch, runner.logger)


def load_start(model: nn.Module, checkpoint: str, branch: str, logger: Logger) -> None:
    """Load the backbone of a checkpoint, and in a pre-training what else fits; log what it was.

    A momentum branch becomes a copy of the online one.

    Args:
        model: to load into, neither wrapped nor sharded.
        checkpoint: file to load.
        branch: ``'online'`` or ``'momentum'``, the encoder of a SymMIM checkpoint to take.
        logger: gets the load report.
    """
    logger.info(str(load_backbone(model.backbone, checkpoint, branch)))
    if isinstance(model, BaseSelfSupervisor):
        names = load_fitting_parts(model, read_checkpoint(checkpoint))
        logger.info(f'also loaded: {", ".join(names) or "nothing"}')
        if hasattr(model, 'momentum'):
            model.momentum.copy_from(**model.online_modules())


def load_fitting_parts(model: nn.Module, checkpoint: dict) -> list[str]:
    """Load decoder and heads of a checkpoint of the same method, each whole or not at all.

    Whole but for the layer that predicts pixels, where the file's is for images of other channels.
    MAE's own full file has a decoder for ``MAEPretrainDecoder``, whose positions are resized.

    Returns:
        Names of the parts that were loaded, with what of them was left as initialized.
    """
    state, names = named_weights(checkpoint), []
    for name, part in model.named_children():
        if name in ('backbone', 'momentum', 'data_preprocessor'):
            continue
        given = {k.removeprefix(f'{name}.'): state[k] for k in state if k.startswith(f'{name}.')}
        own, given = (
            {k: v for k, v in tensors.items() if not k.startswith(MEMORIES)}
            for tensors in (part.state_dict(), given)
        )
        if POSITIONS in own and POSITIONS in given:
            side = round((own[POSITIONS].shape[1] - 1) ** 0.5)
            given[POSITIONS] = resize_positions(
                given[POSITIONS], (side, side), f'{name}.{POSITIONS}'
            )
        shapes = [{(k, v.shape) for k, v in tensors.items()} for tensors in (own, given)]
        left = sorted({key for key, _ in shapes[0] ^ shapes[1]})
        if shapes[0] & shapes[1] and all(key.startswith(PREDICTION) for key in left):
            part.load_state_dict({k: v for k, v in given.items() if k not in left}, strict=False)
            kept = f' (but {", ".join(left)}, left as initialized)' if left else ''
            names.append(name + kept)
    return names


@HOOKS.register_module()
class MomentumUpdateHook(Hook):
    """Calls ``model.update_momentum`` after every iteration that stepped the optimizer.

    With gradient accumulation that is once per accumulated step, not once per micro-batch. The
    value of ``m`` used is logged as ``ema_momentum``.
    """

    def after_train_iter(self, runner: Runner, **_: object) -> None:
        """Update the momentum branch after an optimizer step."""
        if runner.optim_wrapper.should_update():
            progress = (runner.iter + 1) / runner.max_iters
            momentum = unwrap(runner.model).update_momentum(progress)
            runner.message_hub.update_scalar('train/ema_momentum', momentum)


@HOOKS.register_module()
class ActivationCheckpointingHook(Hook):
    """Calls ``checkpoint_blocks`` before training; ``activation_checkpointing=True`` adds it."""

    def before_train(self, runner: Runner) -> None:
        """Turn activation checkpointing on."""
        count = checkpoint_blocks(unwrap(runner.model))
        runner.logger.info(f'activation checkpointing: {count} blocks are recomputed')


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles the model, once it is initialized, before the first step; ``--compile`` adds it."""

    def before_train(self, runner: Runner) -> None:
        """Compile the model."""
        compile_model(unwrap(runner.model))
        runner.logger.info('the model is compiled: the first step takes longer')


def compile_model(model: nn.Module, **options: object) -> None:
    """Compile, in place, the transformer blocks of a pre-training or the backbone of a transfer.

    Blocks of one size share one program, so that the first step takes seconds where the whole loss
    takes minutes. A transfer's blocks differ in their rates of stochastic depth: its backbone is
    compiled in one piece, and its heads, which work on lists of objects of varying sizes, are not.
    MMEngine's own switch compiles ``train_step`` with the optimizer and the logging inside, which
    breaks into many graphs. The model is not wrapped for several processes; ``options`` are those
    of ``torch.compile``.
    """
    for module in model.modules():
        if isinstance(module, DropPath):
            # MMPretrain leaves a NumPy number here, at which the compiler breaks the graph: once
            # for every residual branch.
            module.drop_prob = float(module.drop_prob)
    whole = [] if isinstance(model, BaseSelfSupervisor) else [model.backbone]
    for module in whole or transformer_blocks(model):
        module.forward = torch.compile(module.forward, **options)
