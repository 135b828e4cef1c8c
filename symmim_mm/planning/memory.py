"""What a process keeps in memory beside activations, from the shapes alone."""

import math
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import nn

from symmim_mm.models.base import fsdp_units


@dataclass(frozen=True)
class FixedMemory:
    """Bytes of one process that do not depend on the batch.

    Args:
        parameters: all of the model's, a momentum copy included.
        momentum_copy: of ``parameters``, those of the momentum encoder.
        buffers: such as running means.
        gradients: of trained parameters.
        optimizer_states: of trained parameters.
        gradient_buckets: the second copy of the gradients that ``DistributedDataParallel`` sends.
    """

    parameters: int
    momentum_copy: int
    buffers: int
    gradients: int
    optimizer_states: int
    gradient_buckets: int

    @property
    def total(self) -> int:
        """All together; the momentum copy is among the parameters."""
        parts = (self.parameters, self.buffers, self.gradients)
        return sum(parts) + self.optimizer_states + self.gradient_buckets


@dataclass(frozen=True)
class ShardedMemory:
    """The same with ``--fsdp``, in bytes of one process.

    Args:
        shares: of parameters, gradients and optimizer states, and all buffers.
        gathered: at most, for a time: parameters and gradients of the largest transformer block
            and of all that is in no block.
    """

    shares: int
    gathered: int


def sharded_memory(model: nn.Module, memory: FixedMemory, processes: int) -> ShardedMemory:
    """What :func:`fixed_memory` becomes where ``--fsdp`` shares the model out."""
    blocks = [unit for unit in fsdp_units(model) if isinstance(unit, TransformerEncoderLayer)]
    inside = {id(parameter) for block in blocks for parameter in block.parameters()}
    outside = [p for p in model.parameters() if id(p) not in inside]
    largest = max(blocks, key=lambda block: _size(block.parameters()), default=nn.Module())
    gathered = [*outside, *largest.parameters()]
    trained = _size([p for p in gathered if p.requires_grad])
    shared = memory.parameters + memory.gradients + memory.optimizer_states
    return ShardedMemory(
        shares=math.ceil(shared / processes) + memory.buffers,
        gathered=_size(gathered) + trained,
    )


def fixed_memory(model: nn.Module, cfg: Config, processes: int) -> FixedMemory:
    """Memory of the model and optimizer of a config, parameters being as they are: float32."""
    momentum = getattr(model, 'momentum', None)
    trains = 'evaluation' not in cfg
    trained = _size([p for p in model.parameters() if p.requires_grad]) if trains else 0
    states = state_values(cfg.optim_wrapper.optimizer) if trains else 0.0
    return FixedMemory(
        parameters=_size(model.parameters()),
        momentum_copy=_size(momentum.parameters()) if isinstance(momentum, nn.Module) else 0,
        buffers=_size(model.buffers()),
        gradients=trained,
        optimizer_states=round(trained * states),
        gradient_buckets=trained if processes > 1 else 0,
    )


def state_values(optimizer: dict) -> float:
    """How many values an optimizer keeps for each value of a parameter, found by one step of it.

    Args:
        optimizer: its config, without parameters.
    """
    probe = nn.Parameter(torch.ones(8, 8))
    probe.grad = torch.ones_like(probe)
    built = OPTIMIZERS.build(dict(optimizer) | dict(params=[probe]))
    built.step()
    kept = (value for value in built.state[probe].values() if isinstance(value, torch.Tensor))
    return sum(value.numel() for value in kept if value.ndim) / probe.numel()


def _size(tensors) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
