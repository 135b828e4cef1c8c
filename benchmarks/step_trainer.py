"""A training step timed in parts, its memory, and the rate of matrix products of a device."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from benchmarks.common import spread
from symmim_mm.models.base import transformer_blocks
from symmim_mm.planning.memory import PeakMemory

PHASES = ('backward', 'optimizer', 'ema')  # the rest of a step is its forward part


class Clock:
    """Time spent in some methods, and in whole steps.

    Args:
        device: of the work. A GPU is timed by its own events, without synchronization between
            steps; one CPU thread by its processor time, which other programs disturb least.
    """

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == 'cuda'
        self.now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        self.spans: dict[str, list[tuple]] = {}

    def watch(self, owner: object, method: str, name: str) -> None:
        """Record calls of ``owner.method`` as ``name``."""
        inner = getattr(owner, method)

        @wraps(inner)
        def call(*args: object, **kwargs: object) -> object:
            return self.span(name, inner, *args, **kwargs)

        setattr(owner, method, call)

    def span(self, name: str, work: Callable, *args: object, **kwargs: object) -> object:
        """Call ``work`` and record its time."""
        start = self._mark()
        result = work(*args, **kwargs)
        self.spans.setdefault(name, []).append((start, self._mark()))
        return result

    def read(self) -> dict[str, list[float]]:
        """Return the seconds of every call by name, and reset; call it after synchronization."""
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
        make_batch: batch of a number of images, on the device, as a loader gives it.
        ema: object and name of the method that updates the momentum branch; None without one. It
            is called after each step, unless the model calls it.
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

    def train(self, images: int, steps: int = 1) -> int:
        """Train on the same batch and return the number of images trained on."""
        batch = self._batch(images)
        for _ in range(steps):
            self.clock.span('step', self._step, batch)
        if self.device.type == 'cuda':
            torch.cuda.synchronize()
        for name, seconds in self.clock.read().items():
            self.phases.setdefault(name, []).extend(seconds)
        self._check()
        return images * steps

    def take_phases(self) -> dict[str, list[float]]:
        """Return the seconds of every step since the last call, by part; ``'step'`` is all."""
        found, self.phases = self.phases, {}
        return found

    def peak_bytes(self, images: int) -> int:
        """Return the peak memory of a step, without what exists before it.

        Gradients exist before it, as in every micro-batch but the first: else they would be the
        peak of small batches. On a GPU its allocator counts; on a CPU :class:`PeakMemory` does.
        """
        if self.device.type == 'cuda' or not self.wrapper.optimizer.state:
            self.train(images)  # libraries and the optimizer allocate their own memory
        if self.device.type == 'cuda':
            self._make_gradients()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self.train(images)
            return torch.cuda.max_memory_allocated() - before
        inputs = self._batch(images)['inputs']
        self._make_gradients()
        known = [*self._kept(), *(inputs if isinstance(inputs, list) else [inputs])]
        with PeakMemory(known) as memory:
            self.train(images)
        return memory.peak

    def kept_bytes(self) -> int:
        """Return the bytes of parameters, buffers, gradients and optimizer states."""
        self._make_gradients()
        return self.held_bytes()

    def held_bytes(self) -> int:
        """Return the same as it is between two steps, without gradients that were freed."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._kept())

    def _make_gradients(self) -> None:
        for parameter in self.model.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    def _batch(self, images: int) -> dict:
        if images not in self.batches:
            self.batches[images] = self.make_batch(images)
        return self.batches[images]

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
        """Refuse skipped steps, which would be fast ones."""
        take = getattr(self.wrapper, 'take_verdicts', tuple)  # MMEngine's own wrappers skip nothing
        if any(verdict.skipped for verdict in take()):
            raise RuntimeError('a measured step was not finite and skipped')


def shares_of(phases: dict[str, list[float]]) -> dict[str, float]:
    """Return medians of the shares of a step; ``forward`` includes preprocessing."""
    whole = phases['step']
    found = {
        name: statistics.median(part / step for part, step in zip(phases[name], whole, strict=True))
        for name in PHASES
        if name in phases
    }
    return dict(forward=1 - sum(found.values()), **found)


class Variant:
    """Changed transformer blocks of a model, which it has within ``with`` only.

    Args:
        model: stays as it is.
        change: replaces ``forward`` of its blocks, as ``checkpoint_blocks`` does.
    """

    def __init__(self, model: nn.Module, change: Callable[[nn.Module], object]) -> None:
        change(model)
        self.forwards = [
            (block, block.__dict__.pop('forward')) for block in transformer_blocks(model)
        ]

    def __enter__(self) -> None:
        for block, forward in self.forwards:
            block.forward = forward

    def __exit__(self, *_: object) -> None:
        for block, _ in self.forwards:
            del block.forward


def bytes_per_image(trainer: Trainer, images: int) -> tuple[float, float]:
    """Measure the peak memory of a step as ``fixed + each * images``, from two batches.

    Args:
        trainer: of the step.
        images: the larger of them; the smaller one is half of it, 2 at least.

    Returns:
        Bytes ``(fixed, each)``.
    """
    small = max(2, images // 2)
    large = max(images, 2 * small)
    low, high = trainer.peak_bytes(small), trainer.peak_bytes(large)
    each = (high - low) / (large - small)
    return low - each * small, each


SIDES = dict(cpu=(2048,), cuda=(4096, 8192, 16384))
SECONDS = 0.5  # of each repeat


def matrix_rate(device: torch.device, dtype: torch.dtype, repeats: int = 7) -> dict:
    """Measure the FLOPs per second of a product of two square matrices, which MFU refers to.

    The size of the highest median counts. It is measured, not taken from a data sheet, so that
    clocks, power limits and threads are those of the steps.

    Returns:
        ``dict(dtype, side, rate)``, ``rate`` with its spread.
    """
    found = []
    for side in SIDES[device.type]:
        left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        flops = 2 * side**3
        _seconds(left, right, 2)  # libraries choose their kernels
        count = max(1, round(SECONDS / _seconds(left, right, 1)))
        rates = [flops * count / _seconds(left, right, count) for _ in range(repeats)]
        found.append(dict(dtype=str(dtype).split('.')[-1], side=side, rate=spread(rates)))
    return max(found, key=lambda case: case['rate']['median'])


def _seconds(left: torch.Tensor, right: torch.Tensor, count: int) -> float:
    # The clock that times steps.
    alone = not left.is_cuda and torch.get_num_threads() == 1
    now = time.process_time if alone else time.perf_counter
    _wait(left)
    start = now()
    for _ in range(count):
        left @ right
    _wait(left)
    return now() - start


def _wait(tensor: torch.Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()
