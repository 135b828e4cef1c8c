"""Optimizer wrappers and parameter groups. Importing this registers them all."""

from symmim_mm.engine.optim.guarded_wrapper import GuardedAmpOptimWrapper, GuardedOptimWrapper
from symmim_mm.engine.optim.layer_decay import LayerDecayOptimWrapperConstructor

__all__ = [
    'GuardedAmpOptimWrapper',
    'GuardedOptimWrapper',
    'LayerDecayOptimWrapperConstructor',
]
