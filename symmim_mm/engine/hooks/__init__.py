"""Hooks. Importing this registers them all."""

from symmim_mm.engine.hooks import (  # noqa: F401
    checkpoint_hook,
    data_hooks,
    health_hook,
    images_hook,
    logging_hooks,
    model_hooks,
    not_finite_hook,
    page_hook,
    preemption_hook,
    progress_hook,
    record_hook,
    resume_hook,
    throughput_hook,
)
