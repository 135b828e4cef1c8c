"""A training step that is timed in parts: forward, backward, optimizer, EMA."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import Tensor, nn

from symmim_mm.models.activation_checkpointing import checkpoint_blocks
from symmim_mm.planning.peak_memory import PeakMemory

PHASES = ('backward', 'optimizer', 'ema')  # the rest of a step is its forward part


class Clock:
    """Time spent in some methods, and in whole steps.

    Args:
        device: whose time it is. That of a GPU is told by its own events, for which nobody waits
            while steps run; that of one CPU thread is processor time, which other programs
            disturb least.
    """

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == 'cuda'
        self.now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        self.spans: dict[str, list[tuple]] = {}

    def watch(self, owner: object, method: str, name: str) -> None:
        """Let calls of ``owner.method`` count as ``name``."""
        inner = getattr(owner, method)

        @wraps(inner)
        def call(*args, **kwargs):
            return self.span(name, inner, *args, **kwargs)

        setattr(owner, method, call)

    def span(self, name: str, work: Callable, *args, **kwargs):
        """Call ``work`` and note how long it took."""
        start = self._mark()
        result = work(*args, **kwargs)
        self.spans.setdefault(name, []).append((start, self._mark()))
        return result

    def read(self) -> dict[str, list[float]]:
        """Seconds of every call by name, and forget them; call it when the device is done."""
        seconds = {
            name: [
                start.elapsed_time(end) / 1000 if self.cuda else end - start for start, end in pairs
            ]
            for name, pairs in self.spans.items()
        }
        self.spans = {}
        return seconds

    def _mark(self):
        if not self.cuda:
            return self.now()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


@dataclass
class Trainer:
    """A model with its optimizer and EMA, and batches for them.

    Args:
        model: on its device, in training mode.
        wrapper: of its optimizer.
        make_batch: what a loader would give for a number of pictures, pictures on the device.
        ema: the object and the method that move the momentum branch; None without one. It is
            called after each step, unless the model itself calls it.
        calls_ema: whether the model calls it.
    """

    model: nn.Module
    wrapper: OptimWrapper
    make_batch: Callable[[int], dict]
    ema: tuple[object, str] | None = None
    calls_ema: bool = False
    phases: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.device = next(self.model.parameters()).device
        self.clock = Clock(self.device)
        self.clock.watch(self.wrapper, 'backward', 'backward')
        self.clock.watch(self.wrapper, 'step', 'optimizer')
        if self.ema:
            self.clock.watch(*self.ema, 'ema')
        self.batches: dict[int, dict] = {}

    def train(self, pictures: int, steps: int = 1) -> int:
        """Train on the same batch of so many pictures; returns how many pictures that were."""
        batch = self._batch(pictures)
        for _ in range(steps):
            self.clock.span('step', self._step, batch)
        if self.device.type == 'cuda':
            torch.cuda.synchronize()
        for name, seconds in self.clock.read().items():
            self.phases.setdefault(name, []).extend(seconds)
        self._check()
        return pictures * steps

    def take_phases(self) -> dict[str, list[float]]:
        """Seconds of every step trained since the last call, by part; ``'step'`` is the whole."""
        found, self.phases = self.phases, {}
        return found

    def peak_bytes(self, pictures: int) -> int:
        """The most memory that a step takes beside what is there before it.

        Gradients are there before it, as in every micro-batch of a step but the first: else the
        peak of small batches would be theirs and say nothing of a picture. On a GPU its allocator
        counts. On a CPU, whose allocator does not, the tensors that live are followed, operation
        by operation (:class:`PeakMemory`).
        """
        if self.device.type == 'cuda' or not self.wrapper.optimizer.state:
            self.train(pictures)  # libraries and the optimizer make room for themselves
        if self.device.type == 'cuda':
            self._make_gradients()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self.train(pictures)
            return torch.cuda.max_memory_allocated() - before
        inputs = self._batch(pictures)['inputs']
        self._make_gradients()
        known = [*self._kept(), *(inputs if isinstance(inputs, list) else [inputs])]
        with PeakMemory(known) as memory:
            self.train(pictures)
        return memory.peak

    def kept_bytes(self) -> int:
        """Bytes of parameters, buffers, gradients and optimizer states."""
        self._make_gradients()
        return sum(tensor.numel() * tensor.element_size() for tensor in self._kept())

    def _make_gradients(self) -> None:
        for parameter in self.model.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    def _batch(self, pictures: int) -> dict:
        if pictures not in self.batches:
            self.batches[pictures] = self.make_batch(pictures)
        return self.batches[pictures]

    def _kept(self) -> list[Tensor]:
        states = self.wrapper.optimizer.state.values()
        kept = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        parameters = list(self.model.parameters())
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        return [*parameters, *gradients, *self.model.buffers(), *kept]

    def _step(self, batch: dict) -> None:
        self.model.train_step(batch, self.wrapper)
        if self.ema and not self.calls_ema:
            owner, method = self.ema
            getattr(owner, method)(0.5)

    def _check(self) -> None:
        """A step that was skipped would be a fast one."""
        verdicts = getattr(self.wrapper, 'verdicts', None)
        while verdicts:
            if verdicts.popleft().read().skipped:
                raise RuntimeError('a measured step was not finite and skipped')


def shares_of(phases: dict[str, list[float]]) -> dict[str, float]:
    """Medians of the shares of a step; ``forward`` is with the preprocessing of the batch."""
    whole = phases['step']
    found = {
        name: statistics.median(part / step for part, step in zip(phases[name], whole, strict=True))
        for name in PHASES
        if name in phases
    }
    return dict(forward=1 - sum(found.values()), **found)


@contextmanager
def checkpointing(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Activation checkpointing of a model for a while."""
    if wanted:
        checkpoint_blocks(model)
    try:
        yield
    finally:
        for module in model.modules():
            if isinstance(module, TransformerEncoderLayer):
                module.__dict__.pop('forward', None)


def bytes_per_picture(trainer: Trainer, pictures: int) -> tuple[float, float]:
    """Peak memory of a step as ``fixed + each * pictures``, through two batches.

    Args:
        pictures: the larger of them; the smaller one is half of it, 2 at least.

    Returns:
        Bytes ``(fixed, each)``.
    """
    small = max(2, pictures // 2)
    large = max(pictures, 2 * small)
    low, high = trainer.peak_bytes(small), trainer.peak_bytes(large)
    each = (high - low) / (large - small)
    return low - each * small, each
