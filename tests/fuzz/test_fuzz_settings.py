"""Any values for masks and recipes: a right result, or one clear line."""

import math
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
BATCHES = st.integers(1, 4)


@cases(1000)
@given(GRIDS, NUMBERS, st.tuples(NUMBERS, NUMBERS))
def test_checkerboard(grid: Any, block: Any, offset: Any) -> None:
    try:
        mask = masking.checkerboard(grid, block, offset)
    except ValueError as error:
        return one_line(error)
    assert mask.dtype == torch.bool and mask.shape == grid
    for row, column in ((0, 0), (grid[0] - 1, grid[1] - 1), (grid[0] // 2, grid[1] // 3)):
        squares = (row + offset[0]) // block + (column + offset[1]) // block
        assert mask[row, column] == (squares % 2 == 1)
    shifted = masking.shifted_checkerboards(grid, block, torch.tensor([offset, (0, 0)]))
    assert torch.equal(shifted[0], mask)


@cases(1000)
@given(GRIDS, NUMBERS, BATCHES, NUMBERS)
def test_random_mask(grid: Any, ratio: Any, batch: int, unit: Any) -> None:
    try:
        mask = masking.random_mask(grid, ratio, batch, unit)
    except ValueError as error:
        return one_line(error)
    assert mask.dtype == torch.bool and mask.shape == (batch, *grid)
    # One patch of every unit stands for all of them.
    units = mask[:, ::unit, ::unit]
    assert torch.equal(units.repeat_interleave(unit, 1).repeat_interleave(unit, 2)
                       [:, : grid[0], : grid[1]], mask)  # fmt: skip
    total = units[0].numel()
    assert (units.sum((1, 2)) == total - int(round(total * (1 - ratio), 6))).all()
    assert not units.all()


@cases(1000)
@given(GRIDS, NUMBERS, BATCHES, NUMBERS, NUMBERS, NUMBERS)
def test_blockwise_mask(
    grid: Any, ratio: Any, batch: int, least: Any, aspect: Any, rectangles: Any
) -> None:
    try:
        mask = masking.blockwise_mask(grid, ratio, batch, least, aspect, rectangles)
    except ValueError as error:
        return one_line(error)
    assert mask.dtype == torch.bool and mask.shape == (batch, *grid)
    total = grid[0] * grid[1]
    assert (mask.sum((1, 2)) == total - int(round(total * (1 - ratio), 6))).all()


@cases(500)
@given(GRIDS, NUMBERS, st.tuples(NUMBERS, NUMBERS))
def test_grid_mask(grid: Any, keep_every: Any, offset: Any) -> None:
    try:
        mask = masking.grid_mask(grid, keep_every, offset)
    except ValueError as error:
        return one_line(error)
    assert mask.dtype == torch.bool and mask.shape == grid
    rows, columns = (
        len([place for place in range(side) if (place + shift) % keep_every == 0])
        for side, shift in zip(grid, offset, strict=True)
    )
    assert (~mask).sum() == rows * columns


@cases(500)
@given(st.integers(1, 12), st.integers(1, 12), BATCHES, st.integers(0, 2**31), st.data())
def test_visible_indices(rows: int, columns: int, batch: int, seed: int, data: Any) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(batch, rows, columns, generator=generator) < 0.5
    count = data.draw(st.integers(0, int((~mask).sum((1, 2)).min())))
    chosen = masking.visible_indices(mask, count, generator)
    assert chosen.shape == (batch, count) and chosen.dtype == torch.int64
    assert not mask.flatten(1).gather(1, chosen).any()
    assert (chosen.diff(dim=1) > 0).all()
    parity = masking.draw_parity(batch, generator=generator)
    inverted = masking.invert(mask[0], parity)
    assert all(torch.equal(one, mask[0] ^ turn) for one, turn in zip(inverted, parity, strict=True))


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


@cases(2000)
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
