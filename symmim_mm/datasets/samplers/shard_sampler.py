"""A sampler that reads shards one after the other and shuffles within them."""

from collections.abc import Iterator, Sized

import numpy as np
from mmengine.dataset import DefaultSampler

from symmim_mm.registry import DATA_SAMPLERS
from symmim_mm.utils.errors import UserError


@DATA_SAMPLERS.register_module()
class ShardSampler(DefaultSampler):
    """Shuffles so that the shards of a dataset are read one after the other.

    Every epoch puts the shards in a new random order, cuts the images in that order into one
    piece for each rank, and shuffles each piece within windows of some shards. With shards that
    were filled in random order (as ``tools/prepare_dataset.py`` does) a window is a random sample
    of the dataset, and a batch a random sample of a window. The order is a function of
    (seed, epoch, rank); every image is taken once in an epoch by exactly one rank, except
    that with ``round_up`` the first ones of the order are taken once more until all ranks have
    as many. Loader workers share a rank's batches among them, as always.

    Over any other dataset it is MMEngine's ``DefaultSampler``, which mixes all images.

    Args:
        dataset: with ``shard_sizes``, the number of images in each shard, or None.
        shuffle, seed, round_up: as ``DefaultSampler``.
        window: shards that are mixed with each other; what a node should be able to keep in
            memory of the images' files.

    Raises:
        UserError: a window of no shard.
    """

    def __init__(
        self,
        dataset: Sized,
        shuffle: bool = True,
        seed: int | None = None,
        round_up: bool = True,
        window: int = 8,
    ) -> None:
        if window < 1:
            raise UserError(f'window must be at least one shard, got {window}')
        super().__init__(dataset, shuffle, seed, round_up)
        self.window = window

    @property
    def pieces(self) -> int:
        """Number of pieces that the order is cut into: one, or as many as ranks.

        In the middle of an epoch another number of pieces would repeat and skip images.
        """
        return 1 if self._sizes is None else self.world_size

    @property
    def _sizes(self) -> np.ndarray | None:
        return getattr(self.dataset, 'shard_sizes', None) if self.shuffle else None

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indices of this rank's images in this epoch."""
        sizes = self._sizes
        if sizes is None:
            return super().__iter__()
        shards = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
        shared = np.random.default_rng([self.seed, self.epoch])
        order = np.concatenate([shards[number] for number in shared.permutation(len(shards))])
        # More ranks than images is no use, but no reason to stop.
        order = np.resize(order, self.total_size)
        piece = np.array_split(order, self.world_size)[self.rank]  # as DefaultSampler counts them
        own = np.random.default_rng([self.seed, self.epoch, self.rank])
        step = max(1, round(float(np.mean(sizes)) * self.window))
        for first in range(0, len(piece), step):
            own.shuffle(piece[first : first + step])
        return iter(piece.tolist())
