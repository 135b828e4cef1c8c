"""The momentum branch of a run is updated once per optimizer step; how is in ``tests/models``."""

from pathlib import Path

import pytest
from toy_run import toy_runner


@pytest.mark.parametrize(
    ('accumulation', 'progress'), [(1, [0.25, 0.5, 0.75, 1.0]), (2, [0.5, 1.0]), (3, [0.75, 1.0])]
)
def test_one_update_per_optimizer_step(
    accumulation: int, progress: list[float], tmp_path: Path
) -> None:
    """Micro-batches that are left over make a last step, as in MMEngine."""
    hook = dict(momentum=dict(type='symmim_mm.MomentumUpdateHook'))
    runner = toy_runner(tmp_path, iterations=4, accumulation=accumulation, extra=hook)
    updates: list[float] = []
    runner.model.update_momentum = lambda done: updates.append(done) or done / 2
    runner.train()
    assert updates == progress
    assert runner.message_hub.get_scalar('train/ema_momentum').data[0].tolist() == [
        done / 2 for done in progress
    ]
