"""Models whose tensors have shapes and dtypes but no values."""

import copy

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from symmim_mm.models.backbones.activation_checkpointing import (
    checkpoint_blocks,
    pop_activation_checkpointing,
)


def build_without_storage(cfg: Config) -> nn.Module:
    """Build the model of a config on the ``meta`` device: every name and shape, no memory.

    Buffers that a constructor makes on the CPU, such as SymMIM's masks, have their values.

    Raises:
        UserError: a setting that the model, or ``activation_checkpointing``, cannot have.
    """
    cfg = copy.deepcopy(cfg)
    settings = cfg.model
    if 'data_preprocessor' in cfg:  # as MMEngine's Runner does
        settings.setdefault('data_preprocessor', cfg.data_preprocessor)
    scope = DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain'))
    with scope, torch.device('meta'):
        model = MODELS.build(settings)
    if pop_activation_checkpointing(cfg):
        checkpoint_blocks(model)
    return model


def make_runnable(model: nn.Module) -> FakeTensorMode:
    """Replace all parameters and buffers of a model, in place, by fake tensors.

    Unlike ``meta`` tensors they call the kernels of a real device, such as fused attention. Call
    this once, and the model only within the mode returned.
    """
    # Tensors that a model makes while it runs, such as anchors, may be real.
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        model.to_empty(device='cpu')
    return mode


def fill_with_zeros(model: nn.Module) -> None:
    """Replace all parameters and buffers of a model that have no values, in place, by zeros."""
    model._apply(lambda x: torch.zeros_like(x, device='cpu') if x.is_meta else x)
