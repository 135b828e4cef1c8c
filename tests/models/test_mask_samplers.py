"""Mask samplers: counts known without a draw, draws that are the functions of masking."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symmim_mm.models import masks as masking
from symmim_mm.models.mask_samplers import build_mask_sampler
from symmim_mm.utils.errors import UserError

CPU = torch.device('cpu')
CONFIGS = [
    dict(type='checkerboard'),
    dict(type='checkerboard', block=2, parity='fixed'),
    dict(type='checkerboard', block=2, shift=True),
    dict(type='checkerboard', block=3, parity='independent', shift=True),
    dict(type='random', ratio=0.75),
    dict(type='random', ratio=0.6, unit=2),
    dict(type='random', ratio=0.5, unit=3),
    dict(type='blockwise', ratio=0.4),
    dict(type='grid', keep_every=2),
    dict(type='grid', keep_every=3, offset=(1, 2)),
]


@settings(deadline=None)
@given(st.sampled_from(CONFIGS), st.tuples(st.integers(4, 15), st.integers(4, 15)))
def test_no_draw_leaves_the_counts(config: dict, grid: tuple[int, int]) -> None:
    sampler = build_mask_sampler('mask', config, grid)
    masks = sampler.draw(40, CPU)
    assert masks.shape == (40, *grid)
    assert masks.dtype == torch.bool
    least, most = sampler.masked_counts[0], sampler.masked_counts[-1]
    found = masks.flatten(1).sum(1)
    assert least <= found.min()
    assert found.max() <= most
    assert least > 0
    assert most < masks[0].numel()


@pytest.mark.parametrize('config', CONFIGS)
def test_both_extremes_are_drawn(config: dict) -> None:
    """On 7 x 7 squares are cut off and checkerboards are odd; 3000 draws meet every extreme."""
    sampler = build_mask_sampler('mask', config, (7, 7))
    torch.manual_seed(0)
    found = sampler.draw(3000, CPU).flatten(1).sum(1)
    assert (int(found.min()), int(found.max())) == (
        sampler.masked_counts[0], sampler.masked_counts[-1],
    )  # fmt: skip


def test_a_shared_coin_inverts_checkerboards_and_nothing_else() -> None:
    coin = torch.tensor([True, False, True])
    board = masking.checkerboard((6, 6), 2)
    shared = build_mask_sampler('mask', dict(type='checkerboard', block=2), (6, 6))
    assert torch.equal(shared.draw(3, CPU, coin), board ^ coin[:, None, None])
    fixed = build_mask_sampler('mask', dict(type='checkerboard', block=2, parity='fixed'), (6, 6))
    assert torch.equal(fixed.draw(3, CPU, coin), board.expand(3, -1, -1))
    own = build_mask_sampler('mask', dict(type='checkerboard', parity='independent'), (6, 6))
    drawn = own.draw(200, CPU, torch.ones(200, dtype=torch.bool))
    assert 60 < int(drawn[:, 0, 0].sum()) < 140  # 5.7 standard deviations of a fair coin


def test_random_draws_are_those_of_the_seed() -> None:
    sampler = build_mask_sampler('mask', dict(type='random', ratio=0.6, unit=2), (14, 14))
    torch.manual_seed(3)
    drawn = sampler.draw(4, CPU)
    torch.manual_seed(3)
    assert torch.equal(drawn, masking.random_mask((14, 14), 0.6, 4, 2))


def test_building_takes_nothing_from_the_stream_of_the_seed() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    for config in CONFIGS:
        build_mask_sampler('mask', config, (14, 14))
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize(
    ('config', 'words'),
    [
        (dict(type='stripes'), "mask: type must be one of .* got 'stripes'"),
        (dict(ratio=0.5), 'mask: type must be one of'),
        ('random', r"mask must be dict\(type=...\), got 'random'"),
        (dict(type='random', ratio=0.0), 'strictly between 0 and 1'),
        (dict(type='random', ratio=1.0), 'strictly between 0 and 1'),
        (dict(type='random', ratio=0.5, unit=0), 'block must be'),
        (dict(type='random', ratio=0.5, q=1), "unexpected keyword argument 'q'"),
        (dict(type='random'), 'ratio'),
        (dict(type='grid', keep_every=9, offset=(1, 1)), 'masks everything'),
        (dict(type='checkerboard', block=9), 'masks nothing'),
        (dict(type='checkerboard', block=0), 'block must be'),
        (dict(type='checkerboard', block=1.5, shift=True), 'block must be'),
        (dict(type='checkerboard', parity='odd'), 'parity must be'),
        (dict(type='blockwise', ratio=0.5, rectangles=0), 'rectangles'),
        (dict(type='blockwise', ratio=0.5, min_aspect=0.0), 'min_aspect'),
        (dict(type='grid', keep_every=1), 'keep_every'),
        (dict(type='grid', offset=(-1, 0)), 'offset'),
    ],
)
def test_bad_settings_are_one_clear_line(config: dict, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        build_mask_sampler('mask', config, (8, 8))
    assert '\n' not in str(error.value)
