"""Hooks and optimizer settings. Importing this registers them all."""

from symmim_mm import mmengine_loaders  # noqa: F401  checkpoints are read safely
from symmim_mm.engine.activation_checkpointing import ActivationCheckpointingHook
from symmim_mm.engine.backbone_hook import LoadBackboneHook
from symmim_mm.engine.epoch_seed_hook import EpochSeedHook
from symmim_mm.engine.layer_decay import LayerDecayOptimWrapperConstructor
from symmim_mm.engine.momentum_hook import MomentumUpdateHook
from symmim_mm.engine.pictures_hook import PicturesHook
from symmim_mm.engine.record_hook import RecordHook

__all__ = [
    'ActivationCheckpointingHook',
    'EpochSeedHook',
    'LayerDecayOptimWrapperConstructor',
    'LoadBackboneHook',
    'MomentumUpdateHook',
    'PicturesHook',
    'RecordHook',
]
