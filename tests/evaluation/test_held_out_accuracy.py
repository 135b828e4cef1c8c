"""Accuracy of the held-out images and of the others, apart."""

import pytest
import torch

from symmim_mm.registry import METRICS
from symmim_mm.utils.errors import UserError


def results(hits: list[bool]) -> list[dict]:
    """One result per image of two classes, right or wrong."""
    return [
        dict(pred_score=torch.tensor([0.9, 0.1]), gt_label=torch.tensor([0 if hit else 1]))
        for hit in hits
    ]


def test_both_parts_are_counted_apart() -> None:
    metric = METRICS.build(dict(type='symmim_mm.HeldOutAccuracy', held_out=4))
    found = metric.compute_metrics(results([True, False, False, False] + [True] * 3 + [False] * 2))
    assert found == {'held_out_top1': 25.0, 'top1': pytest.approx(60.0)}


@pytest.mark.parametrize('held_out', [0, 3])
def test_an_empty_part_is_refused(held_out: int) -> None:
    metric = METRICS.build(dict(type='symmim_mm.HeldOutAccuracy', held_out=held_out))
    with pytest.raises(UserError, match='held_out='):
        metric.compute_metrics(results([True] * 3))
