"""Bytes of living tensors, worked out by hand."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from symmim_mm.planning.peak_memory import PeakMemory

KIB = 1024


def two_steps(width: int) -> tuple[int, int]:
    """Make two tensors and a third of both, drop one: ``(live, peak)`` in bytes."""
    with PeakMemory() as memory:
        first = torch.zeros(width)
        second = first + 1.0
        del first
        third = second * second.view(-1)
        del second
    live, peak = memory.live, memory.peak
    del third
    return live, peak


def test_live_and_peak():
    assert two_steps(256) == (KIB, 2 * KIB)


def test_stand_ins_count_like_real_tensors():
    with FakeTensorMode():
        assert two_steps(256) == (KIB, 2 * KIB)


def test_known_tensors_views_and_updates_in_place_are_free():
    known = torch.zeros(64)
    with PeakMemory([known]) as memory:
        known.add_(1.0)
        view = known[:32].view(8, 4)
        view.mul_(2.0)
    assert memory.peak == 0


def test_what_backward_keeps():
    """exp keeps its result, 4 KiB; its backward makes the gradient that was not there."""
    weight = torch.ones(1024, requires_grad=True)
    with PeakMemory([weight]) as memory:
        loss = weight.exp().sum()
        kept = memory.live
        loss.backward()
    assert kept == 4 * KIB + 4
    assert memory.live >= 4 * KIB
    assert memory.peak >= 8 * KIB
