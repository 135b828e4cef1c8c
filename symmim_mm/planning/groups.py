"""Parameter groups of a run: learning rate and weight decay of each parameter."""

import copy
from dataclasses import dataclass

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with equal settings."""

    lr_scale: float  # fraction of the full learning rate
    lr: float  # peak learning rate
    weight_decay: float  # of the optimizer
    parameters: int  # number of values
    names: tuple[str, ...]  # of the tensors


def parameter_groups(model: nn.Module, cfg: Config) -> list[ParameterGroup]:
    """Return the groups of the optimizer that a config builds for a model, equal ones joined.

    The model may be on the ``meta`` device; the recipe of the config was applied. Groups are in the
    order of increasing learning rates.
    """
    settings = copy.deepcopy(cfg.optim_wrapper)
    settings.type = 'OptimWrapper'  # mixed precision needs a GPU and changes no group
    for key in ('dtype', 'loss_scale', 'use_fsdp'):
        settings.pop(key, None)
    for key in ('fused', 'foreach'):
        settings.optimizer.pop(key, None)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain')):
        optimizer = build_optim_wrapper(model, settings).optimizer
    full = settings.optimizer.lr
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    joined: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in optimizer.param_groups:
        key = (group['lr'], group.get('weight_decay', 0.0))
        joined.setdefault(key, []).extend(group['params'])
    found = []
    for (lr, decay), members in sorted(joined.items(), key=lambda item: item[0]):
        count = sum(parameter.numel() for parameter in members)
        own = tuple(names[id(parameter)] for parameter in members)
        found.append(ParameterGroup(lr / full, lr, decay, count, own))
    return found
