"""The global recipe and what one process gets of it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from symmim_mm.errors import UserError
from symmim_mm.recipe import Recipe, apply_recipe

BASE = dict(epochs=800, batch=2048, lr=7.5e-4, lr_batch=2048, warmup_epochs=10, min_lr=1e-5)


@given(st.sampled_from([1, 2, 4, 8, 16, 64]), st.integers(1, 512))
def test_split_keeps_the_global_batch(processes: int, limit: int) -> None:
    micro, accumulation = Recipe(**BASE, max_batch_per_gpu=limit).split(processes)
    assert micro * accumulation * processes == 2048
    assert micro <= limit


def test_rate_is_scaled_linearly() -> None:
    assert Recipe(epochs=1, batch=4096, lr=1.5e-4, lr_batch=256).scaled_lr == pytest.approx(2.4e-3)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(epochs=0), 'positive'),
        (dict(warmup_epochs=800), 'fewer warmup_epochs'),
        (dict(epoch=5), "no .'epoch'"),
        (dict(batch=2047), 'cannot be split'),
    ],
)
def test_bad_recipes_are_refused(change: dict, words: str) -> None:
    cfg = Config(dict(recipe={**BASE, **change}, train_cfg={}, train_dataloader={}))
    with pytest.raises(UserError, match=words):
        apply_recipe(cfg, 8)
    cfg = Config(dict(recipe=dict(epochs=3)))
    with pytest.raises(UserError, match='incomplete'):
        apply_recipe(cfg, 1)


def rates(recipe: Recipe, epoch_length: int) -> list[float]:
    """The learning rate of every iteration, as MMEngine's schedulers give it."""
    wrapper = build_optim_wrapper(
        torch.nn.Linear(1, 1), dict(optimizer=dict(type='SGD', lr=recipe.scaled_lr))
    )
    schedulers = []
    for cfg in recipe.schedulers():
        if cfg.pop('convert_to_iter_based', False):
            cls = PARAM_SCHEDULERS.get(cfg.pop('type'))
            built = cls.build_iter_from_epoch(wrapper.optimizer, **cfg, epoch_length=epoch_length)
        else:
            built = PARAM_SCHEDULERS.build(cfg, default_args=dict(optimizer=wrapper.optimizer))
        schedulers.append(built)
    found = []
    for step in range(recipe.epochs * epoch_length):
        found.append(wrapper.optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            if not scheduler.by_epoch or (step + 1) % epoch_length == 0:
                scheduler.step()
    return found


def test_cosine_schedule_is_its_formula() -> None:
    recipe = Recipe(epochs=20, batch=64, lr=1e-3, lr_batch=64, warmup_epochs=4, min_lr=1e-5)
    length = 10
    found = rates(recipe, length)
    start, total = 4 * length, 20 * length
    for step in range(start, total):
        progress = (step - start) / (total - start)
        expected = 1e-5 + (1e-3 - 1e-5) * 0.5 * (1 + math.cos(math.pi * progress))
        assert found[step] == pytest.approx(expected, rel=1e-6), step
    assert found[0] == pytest.approx(1e-7)
    assert found[:start] == sorted(set(found[:start]))


def test_step_schedule_is_simmims() -> None:
    recipe = Recipe(
        epochs=10, batch=8, lr=1.0, lr_batch=8, warmup_epochs=2, milestones=(7,), gamma=0.1
    )
    found = rates(recipe, 3)
    assert found[3 * 4] == pytest.approx(1.0)
    assert found[3 * 7 - 1] == pytest.approx(1.0)
    assert found[3 * 7] == pytest.approx(0.1)
