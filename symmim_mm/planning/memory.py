"""What a process keeps in memory beside activations, from the shapes alone."""

from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS
from torch import nn


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
