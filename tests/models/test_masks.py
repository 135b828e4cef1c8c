"""Masks: exact counts, symmetries as properties, and refusals."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symmim_mm.models import masks as masking

SIDES = st.integers(1, 20)
GRIDS = st.tuples(SIDES, SIDES)
BLOCKS = st.integers(1, 25)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Counts of the formulas M1 = (i + j) mod 2 and M2 = (i // k + j // k) mod 2 on a 14 x 14 grid.
@pytest.mark.parametrize(('block', 'count'), [(1, 98), (2, 96), (7, 98), (14, 0), (99, 0)])
def test_counts_on_14_by_14(block: int, count: int) -> None:
    assert int(masking.checkerboard((14, 14), block).sum()) == count


@given(GRIDS, BLOCKS)
def test_checkerboard_is_its_formula(grid: tuple[int, int], block: int) -> None:
    mask = masking.checkerboard(grid, block)
    rows, columns = range(grid[0]), range(grid[1])
    expected = [[(i // block + j // block) % 2 == 1 for j in columns] for i in rows]
    assert mask.dtype == torch.bool
    assert mask.tolist() == expected


@given(st.integers(1, 10), st.integers(1, 20))
def test_block_1_mirrors_masked_onto_visible_across_an_even_side(half: int, other: int) -> None:
    mask = masking.checkerboard((other, 2 * half))
    assert torch.equal(mask.flip(1), ~mask)
    assert torch.equal(mask.T.flip(0), ~mask.T)
    assert int(mask.sum()) == half * other  # exactly one half


@given(st.integers(1, 6), st.integers(1, 4), st.booleans())
def test_blocks_mirror_by_the_parity_of_their_number(squares: int, block: int, even: bool) -> None:
    number = 2 * squares if even else 2 * squares - 1
    mask = masking.checkerboard((number * block, number * block), block)
    expected = ~mask if even else mask
    assert torch.equal(mask.flip(0), expected)
    assert torch.equal(mask.flip(1), expected)
    assert torch.equal(mask.rot90(2), mask)
    share = 2 * int(mask.sum()) / mask.numel()
    assert share == 1 if even else share < 1


@given(GRIDS, st.integers(1, 6), st.integers(0, 12), st.integers(0, 12))
def test_offset_shifts_the_pattern(grid, block: int, row: int, column: int) -> None:
    larger = masking.checkerboard((grid[0] + row, grid[1] + column), block)
    moved = masking.checkerboard(grid, block, (row, column))
    assert torch.equal(moved, larger[row:, column:])
    assert torch.equal(moved, masking.checkerboard(grid, block, (row + 2 * block, column)))
    assert torch.equal(~moved, masking.checkerboard(grid, block, (row + block, column)))


@given(GRIDS, st.integers(1, 4), st.integers(0, 2**31))
def test_shifted_checkerboards_are_single_ones(grid, block: int, seed: int) -> None:
    offsets = torch.randint(2 * block, (5, 2), generator=generator(seed))
    masks = masking.shifted_checkerboards(grid, block, offsets)
    for mask, offset in zip(masks, offsets.tolist(), strict=True):
        assert torch.equal(mask, masking.checkerboard(grid, block, tuple(offset)))


@given(GRIDS, st.floats(0.01, 0.99), st.integers(1, 5), st.integers(0, 2**31))
def test_random_mask_is_exact_in_units(grid, ratio: float, unit: int, seed: int) -> None:
    units = -(-grid[0] // unit) * -(-grid[1] // unit)
    visible = int(round(units * (1 - ratio), 6))
    if visible == 0:
        with pytest.raises(ValueError, match='leaves none'):
            masking.random_mask(grid, ratio, 2, unit)
        return
    masks = masking.random_mask(grid, ratio, 2, unit, generator=generator(seed))
    assert masks.shape == (2, *grid)
    corners = masks[:, ::unit, ::unit]
    assert corners.flatten(1).sum(1).tolist() == [units - visible] * 2
    spread = corners.repeat_interleave(unit, 1).repeat_interleave(unit, 2)
    assert torch.equal(spread[:, : grid[0], : grid[1]], masks)


@given(
    st.tuples(st.integers(2, 16), st.integers(2, 16)), st.floats(0.1, 0.7), st.integers(0, 2**31)
)
def test_blockwise_mask_is_exact_and_reproducible(grid, ratio: float, seed: int) -> None:
    masks = masking.blockwise_mask(grid, ratio, 3, generator=generator(seed))
    total = grid[0] * grid[1]
    assert masks.flatten(1).sum(1).tolist() == [total - int(round(total * (1 - ratio), 6))] * 3
    assert torch.equal(masks, masking.blockwise_mask(grid, ratio, 3, generator=generator(seed)))


def test_blockwise_mask_has_blocks() -> None:
    """Masked patches have more masked neighbors than in a random mask of the same ratio."""

    def neighbors(masks: torch.Tensor) -> float:
        return float((masks[:, 1:] & masks[:, :-1]).sum() / masks.sum())

    blocks = masking.blockwise_mask((14, 14), 0.4, 200, generator=generator(0))
    scattered = masking.random_mask((14, 14), 0.4, 200, generator=generator(0))
    assert neighbors(blocks) > 1.5 * neighbors(scattered)


def test_grid_mask_keeps_one_in_four() -> None:
    mask = masking.grid_mask((14, 14))
    assert int(mask.sum()) == 147
    assert not mask[0, 0]
    assert mask[1, 1]


@given(GRIDS, st.floats(0.1, 0.8), st.integers(0, 2**31))
def test_visible_indices_are_visible_ascending_and_as_many_as_asked(grid, ratio, seed: int) -> None:
    mask = torch.rand((4, *grid), generator=generator(seed)) < ratio
    count = int((~mask).flatten(1).sum(1).min())
    indices = masking.visible_indices(mask, count, generator(seed))
    assert indices.shape == (4, count)
    assert not mask.flatten(1).gather(1, indices).any()
    assert (indices.diff(dim=1) > 0).all()


@pytest.mark.parametrize('grid', [(0, 4), (4, -1), (4,), (2.5, 4)])
def test_bad_grids_are_refused(grid) -> None:
    with pytest.raises(ValueError, match='grid must be'):
        masking.checkerboard(grid)
    with pytest.raises(ValueError, match='grid must be'):
        masking.random_mask(grid, 0.5, 1)
