"""Hooks. Importing this registers them all."""

from symmim_mm.engine.hooks.checkpoint_hook import SafeCheckpointHook
from symmim_mm.engine.hooks.data_hooks import LoaderTimeoutHook, UnreadableImagesHook
from symmim_mm.engine.hooks.health_hook import HealthHook
from symmim_mm.engine.hooks.images_hook import ImagesHook
from symmim_mm.engine.hooks.logging_hooks import AsyncRuntimeInfoHook, SafeLoggerHook
from symmim_mm.engine.hooks.model_hooks import (
    ActivationCheckpointingHook,
    CompileHook,
    LoadBackboneHook,
    MomentumUpdateHook,
)
from symmim_mm.engine.hooks.not_finite_hook import NotFiniteHook
from symmim_mm.engine.hooks.preemption_hook import PreemptionHook
from symmim_mm.engine.hooks.progress_hook import ProgressHook
from symmim_mm.engine.hooks.record_hook import RecordHook
from symmim_mm.engine.hooks.resume_hook import ExactResumeHook
from symmim_mm.engine.hooks.throughput_hook import ThroughputHook

__all__ = [
    'ActivationCheckpointingHook',
    'AsyncRuntimeInfoHook',
    'CompileHook',
    'ExactResumeHook',
    'HealthHook',
    'ImagesHook',
    'LoadBackboneHook',
    'LoaderTimeoutHook',
    'MomentumUpdateHook',
    'NotFiniteHook',
    'PreemptionHook',
    'ProgressHook',
    'RecordHook',
    'SafeCheckpointHook',
    'SafeLoggerHook',
    'ThroughputHook',
    'UnreadableImagesHook',
]
