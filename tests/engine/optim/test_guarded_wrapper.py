"""A step whose loss is not finite leaves everything as it was, to the bit."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from toy_run import assert_same

from symmim_mm.engine.optim.guarded_wrapper import GuardedOptimWrapper

CLIPS = [None, dict(max_norm=0.1), dict(type='value', clip_value=0.01)]


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))


def batch(seed: int) -> Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))


def wrapper(net: nn.Module, kind: type = GuardedOptimWrapper, clip=None, fused=False, counts=1):
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, fused=fused)
    # MMEngine takes the type out of what it is given.
    made = kind(optimizer=optimizer, clip_grad=copy.copy(clip), accumulative_counts=counts)
    made.initialize_count_status(net, 0, 100)
    if kind is GuardedOptimWrapper:
        made.watch(net)
    return made


def state(net: nn.Module, made: OptimWrapper) -> dict:
    return copy.deepcopy(dict(net=net.state_dict(), optimizer=made.optimizer.state_dict()))


@pytest.mark.parametrize('fused', [False, True])
@pytest.mark.parametrize('clip', CLIPS)
def test_good_steps_are_those_of_mmengine(clip, fused: bool) -> None:
    states = []
    for kind in (OptimWrapper, GuardedOptimWrapper):
        net = model()
        made = wrapper(net, kind, clip, fused)
        for seed in range(4):
            made.update_params(net(batch(seed)).square().mean())
        states.append(state(net, made))
    assert_same(*states)


@pytest.mark.parametrize('fused', [False, True])
@pytest.mark.parametrize('clip', CLIPS)
@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf')])
def test_a_bad_step_changes_nothing(clip, fused: bool, bad: float) -> None:
    net = model()
    made = wrapper(net, GuardedOptimWrapper, clip, fused)
    made.update_params(net(batch(0)).square().mean())
    before = state(net, made)
    made.update_params(net(batch(1) * bad).square().mean())
    assert_same(state(net, made), before)
    assert list(made.take_verdicts()) == [(False, False, False), (True, True, True)]
    # And the run continues as one without such a step.
    made.update_params(net(batch(2)).square().mean())
    other = model()
    control = wrapper(other, GuardedOptimWrapper, clip, fused)
    for seed in (0, 2):
        control.update_params(other(batch(seed)).square().mean())
    assert_same(state(net, made), state(other, control))


def test_a_bad_term_without_a_gradient_counts() -> None:
    net = model()
    made = wrapper(net)
    before = state(net, made)['net']['0.weight']
    made.update_params(net(batch(0)).square().mean() + torch.tensor(float('nan')))
    assert torch.equal(net[0].weight, before)
    assert next(made.take_verdicts()).skipped


def test_a_bad_gradient_of_a_good_loss_counts() -> None:
    net = model()
    made = wrapper(net)
    before = state(net, made)
    # The square root of 0 is finite, its slope is not.
    made.update_params((net(batch(0)) * 0.0).sum().sqrt())
    assert_same(state(net, made), before)
    assert list(made.take_verdicts()) == [(True, False, False)]


def test_a_bad_step_that_nobody_watches_changes_nothing_either() -> None:
    """Without ``NotFiniteHook``, which calls ``watch``."""
    net = model()
    made = GuardedOptimWrapper(optimizer=torch.optim.AdamW(net.parameters()))
    made.initialize_count_status(net, 0, 100)
    before = copy.deepcopy(net[0].state_dict())
    made.update_params(net(batch(0) * float('nan')).square().mean())
    assert_same(net[0].state_dict(), before)


def test_one_bad_part_spoils_the_accumulated_step() -> None:
    net = model()
    made = wrapper(net, counts=2)
    before = state(net, made)
    made.update_params(net(batch(0) * float('nan')).square().mean())
    made.update_params(net(batch(1)).square().mean())
    assert_same(state(net, made), before)
    assert len(list(made.take_verdicts())) == 1
    made.update_params(net(batch(2)).square().mean())
    made.update_params(net(batch(3)).square().mean())
    assert not next(made.take_verdicts()).skipped
    assert not torch.equal(net[0].weight, before['net']['0.weight'])
