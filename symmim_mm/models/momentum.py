"""The momentum branch: a moving average of the online branch."""

import copy
import math
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from symmim_mm.utils.errors import UserError


def momentum_at(progress: float, start: float, end: float, schedule: str) -> float:
    """Return ``m`` of the EMA at a point of the training, by the share of steps that are done.

    ``'cosine'``: from ``start`` at progress 0 to ``end`` at 1 on half a cosine, which for
    ``end=1`` is MoCo v3's ``adjust_moco_momentum`` (``main_moco.py``). ``'constant'``: ``start``.

    Raises:
        UserError: an unknown schedule, or ``m`` outside [0, 1].
    """
    if not (0.0 <= start <= 1.0 and 0.0 <= end <= 1.0):
        raise UserError(f'EMA momentum must lie in [0, 1], got {start} to {end}')
    if schedule == 'constant':
        return start
    if schedule != 'cosine':
        raise UserError(f"momentum schedule must be 'cosine' or 'constant', got '{schedule}'")
    return end - (end - start) * 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))


class MomentumBranch(nn.Module):
    """Exponential moving average of some modules: ``theta_k <- m * theta_k + (1 - m) * theta_q``.

    Parameters only; BatchNorm statistics are the branch's own, from its own inputs, as in
    MoCo v3. Parameters do not require gradients. In training only BatchNorm is in training mode:
    keys are computed without stochastic depth and dropout. The online modules to follow are given
    by name and copied, weights included.
    """

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, copy.deepcopy(module))
        self.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Set the mode of BatchNorm; everything else stays in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            module.training = mode and isinstance(module, _BatchNorm)
        return self

    @torch.no_grad()
    def copy_from(self, **modules: nn.Module) -> None:
        """Copy parameters and buffers, e.g. after the online ones were initialized."""
        for name, module in modules.items():
            self.get_submodule(name).load_state_dict(module.state_dict())

    @torch.no_grad()
    def update(self, momentum: float, **modules: nn.Module) -> None:
        """Make one EMA step over all parameters at once."""
        followers: list[Tensor] = []
        leaders: list[Tensor] = []
        for name, module in modules.items():
            followers += self.get_submodule(name).parameters()
            leaders += module.parameters()
        torch._foreach_lerp_(followers, [p.detach() for p in leaders], 1.0 - momentum)
