"""Loops and data loaders. Importing this registers them all."""

from symmim_mm.checkpoint import mmengine as mmengine_loaders  # noqa: F401  checkpoints are read safely
from symmim_mm.engine.runner.resumable_loops import ResumableEpochLoop, ResumableIterLoop
from symmim_mm.engine.runner.watched_loops import WatchedTestLoop, WatchedValLoop

__all__ = [
    'ResumableEpochLoop',
    'ResumableIterLoop',
    'WatchedTestLoop',
    'WatchedValLoop',
]
