"""The order in which the pictures of a prepared set are taken: shard by shard, shuffled."""

from collections.abc import Iterator

import numpy as np
from mmengine.dataset import DefaultSampler

from symmim_mm.registry import DATA_SAMPLERS
from symmim_mm.utils.errors import UserError


@DATA_SAMPLERS.register_module()
class ShardSampler(DefaultSampler):
    """Shuffles so that the shards of a prepared set are read one after the other.

    Every epoch puts the shards in a new random order, cuts the pictures in that order into one
    piece for each rank, and shuffles each piece within windows of some shards. With shards that
    were filled in random order (as ``tools/prepare_dataset.py`` does) a window is a random sample
    of the set, and a batch a random sample of a window. The order is a function of
    (seed, epoch, rank); every picture is taken once in an epoch by exactly one rank, except
    that with ``round_up`` the first ones of the order are taken once more until all ranks have
    as many. Loader workers share a rank's batches among them, as always.

    Over any other data set it is MMEngine's ``DefaultSampler``, which mixes all pictures.

    Args:
        dataset: with ``shard_sizes``, the number of pictures in each shard, or None.
        shuffle, seed, round_up: as ``DefaultSampler``.
        window: shards that are mixed with each other; what a node should be able to keep in
            memory of the pictures' files.

    Raises:
        UserError: a window of no shard.
    """

    def __init__(self, dataset, shuffle=True, seed=None, round_up=True, window: int = 8) -> None:
        if window < 1:
            raise UserError(f'window must be at least one shard, got {window}')
        super().__init__(dataset, shuffle, seed, round_up)
        self.window = window

    @property
    def pieces(self) -> int:
        """Into how many pieces the order is cut: one, or as many as ranks.

        In the middle of an epoch another number of pieces would repeat and skip pictures.
        """
        return 1 if self._sizes is None else self.world_size

    @property
    def _sizes(self) -> np.ndarray | None:
        return getattr(self.dataset, 'shard_sizes', None) if self.shuffle else None

    def __iter__(self) -> Iterator[int]:
        """Indices of this rank's pictures in this epoch."""
        sizes = self._sizes
        if sizes is None:
            return super().__iter__()
        return iter(self._piece(np.asarray(sizes)).tolist())

    def _piece(self, sizes: np.ndarray) -> np.ndarray:
        ends = np.cumsum(sizes)
        shared = np.random.default_rng([self.seed, self.epoch])
        order = np.concatenate(
            [np.arange(ends[s] - sizes[s], ends[s]) for s in shared.permutation(len(sizes))]
        )
        # More ranks than pictures is no use, but no reason to stop.
        order = np.resize(order, self.total_size)
        start = sum(self._share(rank) for rank in range(self.rank))
        piece = order[start : start + self._share(self.rank)]
        own = np.random.default_rng([self.seed, self.epoch, self.rank])
        step = max(1, round(float(sizes.mean()) * self.window))
        for place in range(0, len(piece), step):
            own.shuffle(piece[place : place + step])
        return piece

    def _share(self, rank: int) -> int:
        """Pictures of a rank, as DefaultSampler counts them."""
        return -(-(self.total_size - rank) // self.world_size)
