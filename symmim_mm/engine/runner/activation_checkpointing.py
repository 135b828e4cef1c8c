"""Activation checkpointing: memory for time, one switch for every recipe."""

from functools import partial

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import nn
from torch.utils.checkpoint import checkpoint

from symmim_mm.registry import HOOKS
from symmim_mm.utils.errors import UserError


def checkpoint_blocks(model: nn.Module) -> int:
    """Let every transformer block of a model keep its input only (Chen et al., arXiv 1604.06174).

    What a block computes inside is thrown away after the forward pass and computed again, from
    the same random state, when the backward pass comes to it: gradients are the same. Backbones
    and decoders are found by the class of their blocks; names of parameters, checkpoints and
    passes without gradients (evaluation, the momentum branch) stay as they are. A second call
    changes nothing.

    MMEngine's own ``turn_on_activation_checkpointing`` uses the reentrant kind, which neither
    FSDP nor ``torch.compile`` takes and which gives no gradient where no input has one.

    Returns:
        The number of blocks.

    Raises:
        UserError: the model has no transformer block.
    """
    blocks = [module for module in model.modules() if isinstance(module, TransformerEncoderLayer)]
    if not blocks:
        raise UserError(
            f'activation_checkpointing=True finds no transformer block in {type(model).__name__}'
        )
    for block in blocks:
        block.forward = partial(checkpoint, type(block).forward, block, use_reentrant=False)
    return len(blocks)


def pop_switch(cfg: Config) -> bool:
    """Take ``activation_checkpointing`` out of a config, because MMEngine reads that name as well.

    Raises:
        UserError: it is neither True nor False.
    """
    value = cfg.pop('activation_checkpointing', False)
    if not isinstance(value, bool):
        raise UserError(
            f'activation_checkpointing must be True (all transformer blocks) or False, got {value}'
        )
    return value


@HOOKS.register_module()
class ActivationCheckpointingHook(Hook):
    """Calls :func:`checkpoint_blocks` before training; set by ``activation_checkpointing=True``."""

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        count = checkpoint_blocks(model)
        runner.logger.info(f'activation checkpointing: {count} blocks are computed again')
