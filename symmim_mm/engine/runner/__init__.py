"""Loops and data loaders. Importing this registers them all."""

from symmim_mm.engine.runner.loops import (
    FaultReportingTestLoop,
    FaultReportingValLoop,
    ResumableEpochLoop,
    ResumableIterLoop,
)

__all__ = [
    'FaultReportingTestLoop',
    'FaultReportingValLoop',
    'ResumableEpochLoop',
    'ResumableIterLoop',
]
