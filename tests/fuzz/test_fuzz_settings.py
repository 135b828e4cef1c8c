"""Any values for masks and recipes: a right result, or one clear line."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fuzzing import cases, one_line
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import ConfigDict

from symmim_mm.config.recipe import Recipe, apply_recipe
from symmim_mm.models import masks as masking
from symmim_mm.utils.errors import UserError

pytestmark = pytest.mark.slow

NUMBERS = st.one_of(
    st.integers(-3, 40), st.sampled_from([0.0, 0.5, 1.0, 4.0, -1.5, 1e300, math.nan, math.inf]),
    st.floats(0, 1), st.booleans(),
)  # fmt: skip
SIDES = st.one_of(st.integers(1, 24), NUMBERS)
GRIDS = st.one_of(
    st.tuples(st.integers(1, 24), st.integers(1, 24)), st.tuples(SIDES, SIDES),
    st.lists(SIDES, max_size=3).map(tuple),
)  # fmt: skip
OFFSETS = st.tuples(NUMBERS, NUMBERS)
# What they give for right arguments is tried in tests/models/test_masks.py.
MASKS = {
    masking.checkerboard: (GRIDS, NUMBERS, OFFSETS),
    masking.random_mask: (GRIDS, NUMBERS, st.just(2), NUMBERS),
    masking.blockwise_mask: (GRIDS, NUMBERS, st.just(2), NUMBERS, NUMBERS, NUMBERS),
    masking.grid_mask: (GRIDS, NUMBERS, OFFSETS),
}


@pytest.mark.parametrize('make', MASKS, ids=lambda make: make.__name__)
def test_masks(make: Callable[..., torch.Tensor]) -> None:
    batch = (2,) if make in (masking.random_mask, masking.blockwise_mask) else ()

    @cases(700)
    @given(st.tuples(*MASKS[make]))
    def check(arguments: tuple) -> None:
        try:
            mask = make(*arguments)
        except ValueError as error:
            return one_line(error)
        assert mask.dtype == torch.bool and mask.shape == (*batch, *arguments[0])
        return None

    check()


FIELDS = list(Recipe.model_fields)
VALUES = st.one_of(
    st.none(), st.integers(-2, 5000), st.sampled_from([1 << 70, 10**18 + 9]), st.floats(),
    st.booleans(), st.text(max_size=5), st.sampled_from(['cosine', 'step', 'linear']),
    st.lists(st.integers(-1, 100), max_size=3), st.dictionaries(st.text(max_size=2), st.none()),
)  # fmt: skip
RIGHT = dict(
    epochs=st.integers(1, 900), iterations=st.integers(1, 10**6), batch=st.integers(1, 8192),
    lr=st.floats(1e-7, 10), lr_batch=st.integers(1, 8192), warmup_epochs=st.floats(0, 40),
    warmup_iterations=st.integers(0, 2000), warmup_start=st.floats(1e-6, 1),
    schedule=st.sampled_from(['cosine', 'step', 'linear']), min_lr=st.floats(0, 1e-3),
    milestones=st.lists(st.integers(1, 900), max_size=3).map(sorted), gamma=st.floats(0.01, 1),
    max_batch_per_gpu=st.integers(1, 512),
)  # fmt: skip


@st.composite
def recipes(draw: Any) -> dict:
    """Mostly right, with a few fields that are anything."""
    length = draw(st.sampled_from(['epochs', 'iterations']))
    names = {length, 'batch', 'lr', 'lr_batch'} | draw(st.sets(st.sampled_from(FIELDS)))
    recipe = {name: draw(RIGHT[name]) for name in sorted(names)}
    for name in draw(st.sets(st.sampled_from([*FIELDS, 'x', 'batch_size']), max_size=2)):
        recipe[name] = draw(VALUES)
    return recipe


@cases(1200)
@given(recipes(), st.sampled_from([1, 2, 3, 8, 64]))
def test_recipe(recipe: dict, processes: int) -> None:
    cfg = ConfigDict(dict(
        recipe=recipe, train_cfg=dict(val_interval=3), train_dataloader={},
        optim_wrapper=dict(optimizer={}), default_hooks=dict(checkpoint=dict(interval=2)),
    ))  # fmt: skip
    try:
        apply_recipe(cfg, processes)
    except UserError as error:
        return one_line(error)
    micro, accumulation = cfg.train_dataloader.batch_size, cfg.optim_wrapper.accumulative_counts
    assert micro * accumulation * processes == recipe['batch']
    assert 1 <= micro <= recipe.get('max_batch_per_gpu', 256)
    assert 0 < cfg.optim_wrapper.optimizer.lr < math.inf
    length = cfg.train_cfg.get('max_epochs') or cfg.train_cfg.max_iters
    assert type(length) is int and length > 0
    for scheduler in cfg.param_scheduler:
        begin, end = scheduler.get('begin', 0), scheduler.get('end', length)
        assert 0 <= begin < end <= length or scheduler.by_epoch != ('max_epochs' in cfg.train_cfg)
