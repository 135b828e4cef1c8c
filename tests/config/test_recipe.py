"""The global recipe and what one process gets of it; test_schedules has its learning rates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import MODELS
from paths import ROOT

from symmim_mm.config.recipe import Recipe, apply_recipe
from symmim_mm.utils.errors import UserError

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
        (dict(epochs=0), 'recipe: epochs: should be greater than or equal to 1, got 0'),
        (dict(warmup_epochs=800), 'warm-up as long'),
        (dict(min_lr=-1.0), 'min_lr: should be'),
        (dict(lr=math.nan), 'lr: should be'),
        (dict(batch=True), 'batch: should be a valid integer, got True'),
        (dict(iterations=5), 'exactly one'),
        (dict(epochs=None), 'exactly one'),
        (dict(epochs=None, iterations=100), 'warmup_epochs needs epochs'),
        (dict(warmup_iterations=10), 'no warmup_iterations'),
        (dict(warmup_epochs=0, warmup_iterations=10), "needs schedule='step'"),
        (dict(schedule='poly'), "'linear' or 'step', got 'poly'"),
        (dict(schedule='step'), 'milestones belong'),
        (dict(milestones=[3]), 'milestones belong'),
        (dict(epoch=5), 'unknown field: epoch'),
        (dict(batch=2047), 'cannot be split'),
    ],
)
def test_bad_recipes_are_refused(change: dict, words: str) -> None:
    cfg = Config(dict(recipe={**BASE, **change}, train_cfg={}, train_dataloader={}))
    with pytest.raises(UserError, match=words):
        apply_recipe(cfg, 8)
    cfg = Config(dict(recipe=dict(epochs=3)))
    with pytest.raises(UserError, match='missing field: batch'):
        apply_recipe(cfg, 1)


def test_intervals_in_iterations_are_optimizer_steps() -> None:
    recipe = dict(iterations=100, batch=64, lr=1.0, lr_batch=64, max_batch_per_gpu=8)
    hooks = dict(checkpoint=dict(interval=10))
    cfg = Config(dict(recipe=recipe, train_cfg=dict(val_interval=50), default_hooks=hooks))
    cfg.merge_from_dict(dict(train_dataloader={}, optim_wrapper=dict(optimizer={})))
    cfg.custom_hooks = [dict(type='mmengine.EMAHook')]
    apply_recipe(cfg, 2)
    assert cfg.custom_hooks[0].interval == 4
    assert cfg.optim_wrapper.accumulative_counts == 4
    assert cfg.train_cfg == dict(val_interval=200, max_iters=400)
    assert cfg.default_hooks.checkpoint.interval == 40


@pytest.mark.parametrize('symmetric', [False, True])
@pytest.mark.parametrize('processes', [1, 2, 4, 8])
def test_a_query_meets_as_many_negatives_on_any_number_of_processes(
    processes: int, symmetric: bool
) -> None:
    cfg = Config.fromfile(ROOT / 'configs/symmim/vit_b_pretrain.py')
    cfg.model.symmetric_loss = symmetric
    apply_recipe(cfg, processes)
    together = cfg.train_dataloader.batch_size * processes
    assert cfg.optim_wrapper.accumulative_counts == cfg.recipe.batch // together
    model = MODELS.build(cfg.model)
    sizes = [len(memory.keys) for memory in model.contrast_head.memories]
    remembered = cfg.recipe.batch - together
    assert sizes == ([remembered] * (1 + symmetric) if remembered else [])
