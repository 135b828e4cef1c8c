"""Hooks and optimizer settings. Importing this registers them all."""

from symmim_mm import mmengine_loaders  # noqa: F401  checkpoints are read safely
from symmim_mm.engine.activation_checkpointing import ActivationCheckpointingHook
from symmim_mm.engine.backbone_hook import LoadBackboneHook
from symmim_mm.engine.checkpoint_hook import SafeCheckpointHook
from symmim_mm.engine.compile_hook import CompileHook
from symmim_mm.engine.guarded_optim import GuardedAmpOptimWrapper, GuardedOptimWrapper
from symmim_mm.engine.layer_decay import LayerDecayOptimWrapperConstructor
from symmim_mm.engine.loader_hook import LoaderHook
from symmim_mm.engine.momentum_hook import MomentumUpdateHook
from symmim_mm.engine.not_finite_hook import NotFiniteHook
from symmim_mm.engine.pictures_hook import PicturesHook
from symmim_mm.engine.preemption_hook import PreemptionHook
from symmim_mm.engine.record_hook import RecordHook
from symmim_mm.engine.resumable_loops import ResumableEpochLoop, ResumableIterLoop
from symmim_mm.engine.resume_hook import ExactResumeHook
from symmim_mm.engine.runtime_info_hook import LateRuntimeInfoHook
from symmim_mm.engine.safe_logger_hook import SafeLoggerHook
from symmim_mm.engine.throughput_hook import ThroughputHook
from symmim_mm.engine.unreadable_hook import UnreadableHook
from symmim_mm.engine.watched_loops import WatchedTestLoop, WatchedValLoop

__all__ = [
    'ActivationCheckpointingHook',
    'CompileHook',
    'ExactResumeHook',
    'GuardedAmpOptimWrapper',
    'GuardedOptimWrapper',
    'LateRuntimeInfoHook',
    'LayerDecayOptimWrapperConstructor',
    'LoadBackboneHook',
    'LoaderHook',
    'MomentumUpdateHook',
    'NotFiniteHook',
    'PicturesHook',
    'PreemptionHook',
    'RecordHook',
    'ResumableEpochLoop',
    'ResumableIterLoop',
    'SafeCheckpointHook',
    'SafeLoggerHook',
    'ThroughputHook',
    'UnreadableHook',
    'WatchedTestLoop',
    'WatchedValLoop',
]
