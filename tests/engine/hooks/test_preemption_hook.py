"""A signal within a validation; what a whole run does is in ``tests/faults``."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from torch import nn

from symmim_mm.engine.hooks.preemption_hook import PreemptionHook
from symmim_mm.utils.errors import EXIT_PREEMPTED


def test_a_stop_within_a_validation_saves_weights_as_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """During a validation ``EMAHook`` has the average in the model's place."""
    model = nn.Linear(1, 1, bias=False)
    average = EMAHook(momentum=0.5)
    runner = SimpleNamespace(
        model=model, hooks=[average], _resume=False, iter=0, epoch=0, val_dataloader=[0, 1]
    )
    average.before_run(runner)
    for runner.iter in range(3):
        model.weight.data.fill_(runner.iter)
        average.after_train_iter(runner, runner.iter)
    expected = average.ema_model.module.weight.clone()
    assert expected != model.weight

    saved: dict = {}

    def save(*_: object) -> str:
        saved.update(state_dict={k: v.clone() for k, v in model.state_dict().items()})
        average.before_save_checkpoint(runner, saved)
        raise SystemExit(EXIT_PREEMPTED)

    hook = PreemptionHook()
    hook.vote, hook.val_steps = SimpleNamespace(passed=lambda received: True), 2
    monkeypatch.setattr(hook, '_stop', save)
    average.before_val_epoch(runner)
    with pytest.raises(SystemExit):
        hook.after_val_iter(runner, 0)
    assert torch.equal(saved['state_dict']['weight'], expected)
    assert saved['ema_state_dict']['module.weight'].item() == 2  # the trained weight
