"""Mask samplers: what a config says of a mask, checked once, drawn for every batch.

``mask=dict(type='random', ratio=0.6, unit=2)`` names one of the samplers below and its
parameters. Any of them serves any encoder: SimMIM's, or the online and the momentum encoder of
SymMIM.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from symmim_mm.models import masks as masking
from symmim_mm.models.masks import Grid
from symmim_mm.utils.errors import UserError

PARITIES = ('shared', 'independent', 'fixed')


class MaskSampler(Protocol):
    """Masks of one encoder.

    A sampler belongs to one patch grid. What its masks count is known without drawing one, so
    that the tensors of a (compiled) training step have fixed shapes.
    """

    @property
    def masked_counts(self) -> tuple[int, ...]:
        """The numbers of masked patches that a mask may have, ascending, or the two extremes."""

    def draw(self, batch: int, device: torch.device, coin: Tensor | None = None) -> Tensor:
        """Draw bool ``(B, h, w)`` on ``device``, ``True`` = masked.

        ``coin`` is bool ``(B,)``, a fair coin per image that several encoders share; a sampler
        that needs one draws its own where it is ``None``.
        """


@dataclass(frozen=True)
class Checkerboard:
    """SymMIM's symmetric mask: a checkerboard of ``block`` x ``block`` patches.

    Args:
        block: side of a square in patches; the paper's are 1 (online) and 2 (momentum).
        parity: random inversion per image by the coin of all encoders (``'shared'``), by one of
            its own (``'independent'``), or never (``'fixed'``).
        shift: also move the pattern by a random offset per image.
    """

    grid: Grid
    block: int = 1
    parity: str = 'shared'
    shift: bool = False

    def __post_init__(self) -> None:
        if self.parity not in PARITIES:
            raise ValueError(f"parity must be one of {PARITIES}, got '{self.parity}'")
        masking.checkerboard(self.grid, self.block, device='cpu')  # refuses what is no block

    @property
    def masked_counts(self) -> tuple[int, ...]:
        offsets = itertools.product(range(2 * self.block), repeat=2) if self.shift else [(0, 0)]
        # On the CPU whatever the default device is: their values are looked at here.
        boards = (masking.checkerboard(self.grid, self.block, o, 'cpu') for o in offsets)
        counts = {int(board.sum()) for board in boards}
        if self.parity != 'fixed':
            counts |= {math.prod(self.grid) - count for count in counts}
        return tuple(sorted(counts))

    def draw(self, batch: int, device: torch.device, coin: Tensor | None = None) -> Tensor:
        if self.shift:
            offsets = torch.randint(2 * self.block, (batch, 2), device=device)
            boards = masking.shifted_checkerboards(self.grid, self.block, offsets)
        else:
            board = masking.checkerboard(self.grid, self.block, device=device)
            boards = board.expand(batch, -1, -1)
        if self.parity == 'fixed':
            return boards
        if coin is None or self.parity == 'independent':
            coin = masking.draw_parity(batch, device)
        return boards ^ coin[:, None, None]


@dataclass(frozen=True)
class Random:
    """Random squares (``masks.random_mask``): MAE's mask with ``unit=1``, SimMIM's with 2."""

    grid: Grid
    ratio: float
    unit: int = 1

    @property
    def masked_counts(self) -> tuple[int, ...]:
        rows, columns = (
            [min(self.unit, side - start) for start in range(0, side, self.unit)]
            for side in self.grid
        )
        # Squares that the border of the grid cuts off are smaller than the others.
        sizes = sorted(row * column for row in rows for column in columns)
        count = masking.masked_count(len(sizes), self.ratio)
        return tuple(sorted({sum(sizes[:count]), sum(sizes[-count:])}))

    def draw(self, batch: int, device: torch.device, coin: Tensor | None = None) -> Tensor:
        return masking.random_mask(self.grid, self.ratio, batch, self.unit, device)


@dataclass(frozen=True)
class Blockwise:
    """Random rectangles with an exact count, after BEiT (``masks.blockwise_mask``)."""

    grid: Grid
    ratio: float
    min_patches: int = 4
    min_aspect: float = 0.3
    rectangles: int = 64

    @property
    def masked_counts(self) -> tuple[int, ...]:
        return (masking.masked_count(math.prod(self.grid), self.ratio),)

    def draw(self, batch: int, device: torch.device, coin: Tensor | None = None) -> Tensor:
        return masking.blockwise_mask(
            self.grid, self.ratio, batch, self.min_patches, self.min_aspect, self.rectangles, device
        )


@dataclass(frozen=True)
class KeptGrid:
    """One visible patch in every square, the same ones always (``masks.grid_mask``)."""

    grid: Grid
    keep_every: int = 2
    offset: Grid = (0, 0)

    @property
    def masked_counts(self) -> tuple[int, ...]:
        return (int(self.draw(1, torch.device('cpu')).sum()),)

    def draw(self, batch: int, device: torch.device, coin: Tensor | None = None) -> Tensor:
        mask = masking.grid_mask(self.grid, self.keep_every, self.offset, device)
        return mask.expand(batch, -1, -1)


SAMPLERS: dict[str, type] = {
    'checkerboard': Checkerboard,
    'random': Random,
    'blockwise': Blockwise,
    'grid': KeptGrid,
}


def build_mask_sampler(name: str, config: dict, grid: Grid) -> MaskSampler:
    """Build the sampler that a config asks for, by ``type``, one of ``SAMPLERS``, and parameters.

    ``name`` is that of the setting, for messages; ``grid`` the encoder's patch grid.

    Raises:
        UserError: an unknown type, bad parameters, or a mask that hides nothing or everything.
    """
    if not isinstance(config, dict):
        raise UserError(f"{name} must be dict(type=...), got '{config}'")
    parameters = dict(config)
    kind = parameters.pop('type', None)
    if kind not in SAMPLERS:
        raise UserError(f"{name}: type must be one of {tuple(SAMPLERS)}, got '{kind}'")
    try:
        sampler = SAMPLERS[kind](grid=tuple(grid), **parameters)
        with torch.random.fork_rng(devices=[]):  # the check takes nothing from the run's stream
            sampler.draw(1, torch.device('cpu'))
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} '{kind}' with {parameters}: {error}") from error
    counts, total = sampler.masked_counts, math.prod(grid)
    if counts[0] == 0 or counts[-1] == total:
        what = 'nothing' if counts[0] == 0 else 'everything'
        raise UserError(f"{name} '{kind}' with {parameters} masks {what} on a grid of {grid}")
    return sampler
