"""Every image once an epoch, in an order that (seed, epoch) gives and that keeps to shards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS

from symmim_mm.datasets.samplers.shard_sampler import ShardSampler
from symmim_mm.utils.errors import UserError


class Shards(list):
    """As many images as the shards together."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__(range(sum(sizes)))
        self.shard_sizes = np.array(sizes)


def sampler(sizes, rank: int = 0, ranks: int = 1, **options) -> ShardSampler:
    """As it is on one rank of several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (rank, ranks))
        return ShardSampler(Shards(sizes), seed=options.pop('seed', 3), **options)


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    ranks=st.integers(1, 9),
    window=st.integers(1, 5),
    epoch=st.integers(0, 5),
    round_up=st.booleans(),
)
def test_every_image_on_exactly_one_rank(sizes, ranks, window, epoch, round_up) -> None:
    taken = []
    for rank in range(ranks):
        part = sampler(sizes, rank, ranks, window=window, round_up=round_up)
        part.set_epoch(epoch)
        indices = list(part)
        assert indices == list(part) and len(indices) == len(part)
        taken.append(indices)
    counts = np.bincount(np.concatenate(taken).astype(int), minlength=sum(sizes))
    lengths = [len(indices) for indices in taken]
    if round_up:
        assert counts.min() >= 1 and counts.sum() - sum(sizes) < ranks
        assert len(set(lengths)) == 1
    else:
        assert (counts == 1).all() and max(lengths) - min(lengths) <= 1


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        part = sampler([20] * 10, seed=seed)
        part.set_epoch(epoch)
        return list(part)

    orders = {(seed, epoch): order(seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)}
    assert len({tuple(found) for found in orders.values()}) == 6
    assert orders == {key: order(*key) for key in orders}


def test_shards_are_read_one_window_after_the_other() -> None:
    sizes, window = [100] * 40, 4
    indices = np.array(list(sampler(sizes, window=window)))
    shards = indices // 100
    for start in range(0, 4000, 400):
        assert len(set(shards[start : start + 400])) == window
    batch = shards[:64]
    assert len(set(batch)) == window  # mixed within it
    assert len(set(np.diff(indices))) > 500
    first = np.array(list(sampler(sizes, 0, 4, window=window))) // 100
    last = np.array(list(sampler(sizes, 3, 4, window=window))) // 100
    assert len(set(first)) == 10 and not set(first) & set(last)  # ranks read other files


def test_without_shards_it_is_the_default_sampler() -> None:
    for dataset, shuffle in ((list(range(50)), True), (Shards([25, 25]), False)):
        ours = ShardSampler(dataset, shuffle=shuffle, seed=5)
        stock = DefaultSampler(dataset, shuffle=shuffle, seed=5)
        for epoch in (0, 1):
            ours.set_epoch(epoch)
            stock.set_epoch(epoch)
            assert list(ours) == list(stock)


def test_from_a_config_and_mistakes() -> None:
    found = DATA_SAMPLERS.build(
        dict(type='symmim_mm.ShardSampler'), default_args=dict(dataset=Shards([3, 4]), seed=0)
    )
    assert sorted(found) == list(range(7))
    with pytest.raises(UserError, match='window must be at least one shard, got 0'):
        ShardSampler(Shards([3]), seed=0, window=0)
