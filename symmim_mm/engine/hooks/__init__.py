"""Hooks. Importing this registers them all."""

from symmim_mm.checkpoint import mmengine as mmengine_loaders  # noqa: F401  checkpoints are read safely
from symmim_mm.engine.hooks.backbone_hook import LoadBackboneHook
from symmim_mm.engine.hooks.checkpoint_hook import SafeCheckpointHook
from symmim_mm.engine.hooks.compile_hook import CompileHook
from symmim_mm.engine.hooks.images_hook import PicturesHook
from symmim_mm.engine.hooks.loader_hook import LoaderHook
from symmim_mm.engine.hooks.momentum_hook import MomentumUpdateHook
from symmim_mm.engine.hooks.not_finite_hook import NotFiniteHook
from symmim_mm.engine.hooks.preemption_hook import PreemptionHook
from symmim_mm.engine.hooks.record_hook import RecordHook
from symmim_mm.engine.hooks.resume_hook import ExactResumeHook
from symmim_mm.engine.hooks.runtime_info_hook import LateRuntimeInfoHook
from symmim_mm.engine.hooks.safe_logger_hook import SafeLoggerHook
from symmim_mm.engine.hooks.throughput_hook import ThroughputHook
from symmim_mm.engine.hooks.unreadable_hook import UnreadableHook
from symmim_mm.engine.runner.activation_checkpointing import ActivationCheckpointingHook

__all__ = [
    'ActivationCheckpointingHook',
    'CompileHook',
    'ExactResumeHook',
    'LateRuntimeInfoHook',
    'LoadBackboneHook',
    'LoaderHook',
    'MomentumUpdateHook',
    'NotFiniteHook',
    'PicturesHook',
    'PreemptionHook',
    'RecordHook',
    'SafeCheckpointHook',
    'SafeLoggerHook',
    'ThroughputHook',
    'UnreadableHook',
]
