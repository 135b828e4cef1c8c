"""Counter of the FLOPs of matrix products, convolutions and attention, by part of a model."""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _attention_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object
) -> int:
    return sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape)


# PyTorch's formulas, and those of the CPU's fused attention.
FORMULAS: dict[object, Callable[..., int]] = flop_registry | {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


class FlopCounter(TorchDispatchMode):
    """Counter of all FLOPs, and of those in the forward pass of a model's parts.

    Parts are the children of the model, or their children where those are called by themselves.
    Unlike PyTorch's counter its hooks keep no tensor alive: memory can be measured in the same
    pass.

    ``total`` is the count until now, ``forward`` and ``parts`` (by name) that of the forward pass,
    which ends with :meth:`end_forward`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.total = self.forward = 0
        self.parts: Counter[str] = Counter()
        self._model = model
        self._running: list[str] = []  # parts that are called now, outermost first
        self._hooks = ExitStack()

    def __enter__(self) -> Self:
        """Hook into the parts and start to count."""
        for name, part in self._model.named_modules():
            if name and name.count('.') < 2:
                enter = partial(self._enter, name)
                self._hooks.enter_context(part.register_forward_pre_hook(enter))
                self._hooks.enter_context(part.register_forward_hook(self._leave))
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        """Stop counting and remove the hooks."""
        super().__exit__(*error)
        self._hooks.close()

    def end_forward(self) -> None:
        """End the forward pass: what is computed again in the backward pass is no part's."""
        self.forward = self.total
        self._hooks.close()

    def __torch_dispatch__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        """Run an operation and count it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if formula := FORMULAS.get(func.overloadpacket):
            count = formula(*args, **kwargs, out_val=out)
            self.total += count
            if self._running:
                self.parts[self._running[0]] += count
        return out

    def _enter(self, name: str, *_: object) -> None:
        self._running.append(name)

    def _leave(self, *_: object) -> None:
        self._running.pop()
