"""What one training step costs: floating point operations and memory beside the weights."""

from dataclasses import dataclass

import torch
from mmengine.config import Config
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from symmim_mm.planning.fake_model import build_without_storage, make_runnable
from symmim_mm.planning.peak_memory import PeakMemory
from symmim_mm.planning.step import TrainingStep

aten = torch.ops.aten


@dataclass(frozen=True)
class Operations:
    """Floating point operations of a step for one picture, a product and a sum being two.

    Those of matrix products, convolutions and attention.

    Args:
        forward: of the forward pass.
        forward_backward: with the backward pass; 0 where nothing is trained.
        parts: of ``forward``, by part of the model.
    """

    forward: int
    forward_backward: int
    parts: dict[str, int]


@dataclass(frozen=True)
class Activations:
    """Memory of a step beside parameters, buffers and gradients.

    Args:
        pictures: in the step.
        float32, bfloat16: bytes that live at the worst moment, in full and in mixed precision:
            what is kept for the backward pass, and what the pass at hand needs.
    """

    pictures: int
    float32: int
    bfloat16: int


def count_operations(step: TrainingStep, mode: FakeTensorMode, pictures: int = 2) -> Operations:
    """Run a step on stand-ins and count its operations.

    Args:
        step: of a model made runnable by ``mode``.
        pictures: in the batch. BatchNorm over single numbers needs 2 at least.
    """
    # Not in one pass with the memory: the counter's hooks keep tensors alive.
    counter = _flop_counter()
    with mode, counter:
        loss = step(step.make_batch(pictures))
        forward = counter.get_total_flops()
        parts = _parts(counter, step.model)
        if step.trains:
            loss.backward()
    step.zero_grad(set_to_none=True)
    return Operations(
        forward=forward // pictures,
        forward_backward=counter.get_total_flops() // pictures if step.trains else 0,
        parts={name: count // pictures for name, count in parts.items()},
    )


def operations_of(cfg: Config) -> Operations:
    """Operations of a training step of a config, for one picture; no data are needed.

    Raises:
        UserError: a setting that the model cannot have.
    """
    model = build_without_storage(cfg)
    mode = make_runnable(model)
    return count_operations(TrainingStep(model, cfg), mode)


def measure_activations(step: TrainingStep, mode: FakeTensorMode, pictures: int) -> Activations:
    """Run steps on stand-ins and follow their memory.

    Args:
        step: of a model made runnable by ``mode``.
        pictures: in the batch. BatchNorm over single numbers needs 2 at least.
    """
    return Activations(
        pictures=pictures,
        float32=_peak(step, mode, pictures, amp=False),
        bfloat16=_peak(step, mode, pictures, amp=True),
    )


def _peak(step: TrainingStep, mode: FakeTensorMode, pictures: int, amp: bool) -> int:
    with mode:
        inputs = step.make_batch(pictures)
        gradients = []
        if step.trains:
            # As after the first micro-batch: new gradients are added to what is there.
            for parameter in step.parameters():
                if parameter.requires_grad:
                    parameter.grad = torch.empty_like(parameter)
                    gradients.append(parameter.grad)
        with PeakMemory([*step.parameters(), *step.buffers(), *gradients]) as memory:
            with torch.autocast('cpu', dtype=torch.bfloat16, enabled=amp):
                loss = step(inputs)
            if step.trains:
                loss.backward()
    step.zero_grad(set_to_none=True)
    return memory.peak


def _flop_counter() -> FlopCounterMode:
    """PyTorch's counter, taught the CPU's fused attention, which it does not know."""
    return FlopCounterMode(
        display=False,
        custom_mapping={
            aten._scaled_dot_product_flash_attention_for_cpu: _attention,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
        },
    )


def _attention(query, key, value, *args, out_shape=None, **kwargs) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(gradient, query, key, value, *args, out_shape=None, **kwargs) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


def _parts(counter: FlopCounterMode, model: nn.Module) -> dict[str, int]:
    """Operations by direct child of the model, children of ``roi_head`` and ``momentum`` apart."""
    counts = counter.get_flop_counts()
    found = {}
    for name, child in model.named_children():
        inner = [f'{name}.{part}' for part, _ in child.named_children()]
        for part in [name] if f'TrainingStep.model.{name}' in counts else inner:
            operations = counts.get(f'TrainingStep.model.{part}', {})
            if total := sum(operations.values()):
                found[part] = total
    return found
