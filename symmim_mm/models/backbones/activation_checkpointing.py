"""Activation checkpointing: less memory for more time, one switch for every recipe."""

from functools import partial

from mmengine.config import Config
from torch import nn
from torch.utils.checkpoint import checkpoint

from symmim_mm.models.base import transformer_blocks
from symmim_mm.utils.errors import UserError


def checkpoint_blocks(model: nn.Module) -> int:
    """Let every transformer block of a model keep its input only (Chen et al., arXiv 1604.06174).

    The activations inside a block are dropped after the forward pass and computed again, from the
    same random state, in the backward pass: gradients are the same. Names of parameters,
    checkpoints and passes without gradients (evaluation, the momentum branch) do not change, nor
    does a second call change anything.

    MMEngine's own ``turn_on_activation_checkpointing`` uses the reentrant kind, which neither
    FSDP nor ``torch.compile`` takes and which gives no gradient where no input has one.

    Returns:
        The number of blocks.

    Raises:
        UserError: the model has no transformer block.
    """
    blocks = transformer_blocks(model)
    if not blocks:
        raise UserError(
            f'activation_checkpointing=True finds no transformer block in {type(model).__name__}'
        )
    for block in blocks:
        block.forward = partial(checkpoint, type(block).forward, block, use_reentrant=False)
    return len(blocks)


def pop_activation_checkpointing(cfg: Config) -> bool:
    """Remove ``activation_checkpointing``, which MMEngine would read too, and return its value.

    Raises:
        UserError: it is neither True nor False.
    """
    value = cfg.pop('activation_checkpointing', False)
    if not isinstance(value, bool):
        raise UserError(
            f'activation_checkpointing must be True (all transformer blocks) or False, got {value}'
        )
    return value
