"""Memory of a process: what it keeps, from shapes alone, and the peak of living tensors."""

import math
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.weak import WeakIdKeyDictionary

from symmim_mm.config.recipe import averages_weights
from symmim_mm.models.base import fsdp_units


@dataclass(frozen=True)
class FixedMemory:
    """Bytes of one process that do not depend on the batch."""

    parameters: int  # all of the model, including a momentum encoder, and the EMA of the weights
    momentum_copy: int  # those of the momentum encoder, or of the EMA
    buffers: int  # such as running means
    gradients: int  # of trained parameters
    optimizer_states: int  # of trained parameters
    gradient_buckets: int  # second copy of the gradients, which DistributedDataParallel sends

    @property
    def total(self) -> int:
        """Sum; the momentum copy is part of the parameters."""
        parts = (self.parameters, self.buffers, self.gradients)
        return sum(parts) + self.optimizer_states + self.gradient_buckets


@dataclass(frozen=True)
class ShardedMemory:
    """Bytes of one process with ``--fsdp``."""

    shares: int  # shards of parameters, gradients and optimizer states, and all buffers
    # The most that is gathered at one time: parameters and gradients of the largest transformer
    # block and of everything outside the blocks.
    gathered: int


def sharded_memory(model: nn.Module, memory: FixedMemory, processes: int) -> ShardedMemory:
    """Return the memory where ``--fsdp`` shards a model that needs ``memory`` as a whole."""
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
    """Return the memory of the model and optimizer of a config, with parameters in float32."""
    momentum = getattr(model, 'momentum', None)
    copy = _size(momentum.parameters()) if isinstance(momentum, nn.Module) else 0
    parameters = _size(model.parameters())
    averaged = any(map(averages_weights, cfg.get('custom_hooks', [])))
    trains = 'evaluation' not in cfg
    trained = _size([p for p in model.parameters() if p.requires_grad]) if trains else 0
    states = state_values(cfg.optim_wrapper.optimizer) if trains else 0.0
    return FixedMemory(
        parameters=parameters * (1 + averaged),
        momentum_copy=copy + parameters * averaged,
        buffers=_size(model.buffers()),
        gradients=trained,
        optimizer_states=round(trained * states),
        gradient_buckets=trained if processes > 1 else 0,
    )


def state_values(optimizer: dict) -> float:
    """Return how many values an optimizer keeps per value of a parameter, from one step of it."""
    probe = nn.Parameter(torch.ones(8, 8))
    probe.grad = torch.ones_like(probe)
    built = OPTIMIZERS.build(dict(optimizer) | dict(params=[probe]))
    built.step()
    kept = (value for value in built.state[probe].values() if isinstance(value, Tensor))
    return sum(value.numel() for value in kept if value.ndim) / probe.numel()


def _size(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class PeakMemory(TorchDispatchMode):
    """Counter of the bytes of all storages that are alive, from operation to operation.

    Works on fake tensors (``FakeTensorMode``, entered before this one) as on real ones. Views share
    a storage and count once. Not counted: temporary memory of kernels, and what an allocator rounds
    up or caches.

    ``live`` are the bytes alive now, ``peak`` the most at one time; the storages of ``known``
    tensors, such as parameters, do not count.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen = WeakIdKeyDictionary(ref_type=weakref.ref)
        for tensor in known:
            self._seen[tensor.untyped_storage()] = 0

    def __torch_dispatch__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        """Run an operation and count what it returns."""
        out = func(*args, **(kwargs or {}))
        for value in tree_iter(out):
            if isinstance(value, Tensor):
                self._count(value)
        return out

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._seen:
            return
        size = storage.nbytes()
        self._seen[storage] = size
        weakref.finalize(storage, self._release, size)
        self.live += size
        self.peak = max(self.peak, self.live)

    def _release(self, size: int) -> None:
        self.live -= size
