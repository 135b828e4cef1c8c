"""The global recipe and what one process gets of it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS
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


def rates(recipe: Recipe, epoch_length: int = 0, accumulation: int = 1) -> list[float]:
    """The learning rate of every micro-batch, as MMEngine's schedulers give it."""
    wrapper = build_optim_wrapper(
        torch.nn.Linear(1, 1), dict(optimizer=dict(type='SGD', lr=recipe.scaled_lr))
    )
    schedulers = []
    for cfg in recipe.schedulers(accumulation):
        if cfg.pop('convert_to_iter_based', False):
            cls = PARAM_SCHEDULERS.get(cfg.pop('type'))
            built = cls.build_iter_from_epoch(wrapper.optimizer, **cfg, epoch_length=epoch_length)
        else:
            built = PARAM_SCHEDULERS.build(cfg, default_args=dict(optimizer=wrapper.optimizer))
        schedulers.append(built)
    found = []
    length = recipe.epochs * epoch_length if recipe.by_epoch else recipe.iterations * accumulation
    for step in range(length):
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
        epochs=10, batch=8, lr=1.0, lr_batch=8, warmup_epochs=2, schedule='step', milestones=(7,)
    )
    found = rates(recipe, 3)
    assert found[3 * 4] == pytest.approx(1.0)
    assert found[3 * 7 - 1] == pytest.approx(1.0)
    assert found[3 * 7] == pytest.approx(0.1)


@pytest.mark.parametrize('accumulation', [1, 4])
def test_iterations_are_optimizer_steps(accumulation: int) -> None:
    """UperNet's schedule: the rate of an optimizer step does not depend on how it is split."""
    recipe = Recipe(
        iterations=200, batch=16, lr=1.0, lr_batch=16, schedule='linear', warmup_iterations=20
    )
    found = rates(recipe, accumulation=accumulation)
    assert len(found) == 200 * accumulation
    for step in range(200):
        micro = step * accumulation
        # MMEngine's ramps reach their end at their last micro-batch, not after it.
        if step < 20:
            expected = 1e-4 + (1 - 1e-4) * micro / (20 * accumulation - 1)
        else:
            expected = 1 - (micro - 20 * accumulation) / (180 * accumulation - 1)
        assert found[micro] == pytest.approx(expected, abs=1e-9), step
    assert found[-1] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize('accumulation', [1, 2])
def test_steps_in_iterations_after_a_warm_up(accumulation: int) -> None:
    recipe = Recipe(
        iterations=60, batch=64, lr=1.0, lr_batch=64, schedule='step', milestones=(40, 50),
        warmup_iterations=5, warmup_start=0.001,
    )  # fmt: skip
    found = rates(recipe, accumulation=accumulation)[::accumulation]
    assert found[0] == pytest.approx(0.001)
    assert found[5:40] == pytest.approx([1.0] * 35)
    assert found[40:50] == pytest.approx([0.1] * 10)
    assert found[50:] == pytest.approx([0.01] * 10)


def test_a_warm_up_in_iterations_before_steps_in_epochs() -> None:
    """Mask R-CNN 1x: the warm-up counts optimizer steps, the milestones epochs."""
    recipe = Recipe(
        epochs=12, batch=32, lr=1.0, lr_batch=32, schedule='step', milestones=(9, 11),
        warmup_iterations=5,
    )  # fmt: skip
    found = rates(recipe, epoch_length=8, accumulation=2)
    assert found[9] == pytest.approx(1.0) and found[8] < 1.0
    assert found[8 * 9 - 1] == pytest.approx(1.0)
    assert found[8 * 9] == pytest.approx(0.1)
    assert found[8 * 11] == pytest.approx(0.01)


def test_groups_end_at_their_share_of_the_last_rate() -> None:
    """MAE scales the whole schedule, its end included, by a layer's share."""
    recipe = Recipe(epochs=4, batch=8, lr=1e-3, lr_batch=8, min_lr=1e-4)
    layers = [torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)]
    optimizer = torch.optim.SGD(
        [dict(params=layers[0].parameters(), lr=1e-3), dict(params=layers[1].parameters(), lr=1e-5)]
    )
    (cfg,) = recipe.schedulers(1)
    cls = PARAM_SCHEDULERS.get(cfg.pop('type'))
    cfg.pop('convert_to_iter_based')
    scheduler = cls.build_iter_from_epoch(optimizer, **cfg, epoch_length=5)
    for _ in range(20):
        optimizer.step()
        scheduler.step()
    share = 0.5 * (1 + math.cos(math.pi * 19 / 20))  # the last step's, util/lr_sched.py
    full, reduced = (group['lr'] for group in optimizer.param_groups)
    assert full == pytest.approx(1e-4 + 9e-4 * share)
    assert reduced == pytest.approx(full / 100)


def test_intervals_in_iterations_are_optimizer_steps() -> None:
    cfg = Config(
        dict(
            recipe=dict(iterations=100, batch=64, lr=1.0, lr_batch=64, max_batch_per_gpu=8),
            train_cfg=dict(val_interval=50),
            default_hooks=dict(checkpoint=dict(interval=10)),
            train_dataloader={},
            optim_wrapper=dict(optimizer={}),
        )
    )
    apply_recipe(cfg, 2)
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
