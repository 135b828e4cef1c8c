"""Masks over the patch grid, as pure functions of (grid, parameters, generator).

Everywhere: ``grid`` is ``(rows, columns)`` in patches and ``True`` means masked. The batched
functions return bool ``(B, H, W)`` on ``device``, draw from ``generator`` (torch's default one
of that device when ``None``) and never read a value back to the host, so they can stand inside
a compiled training step. Counts are exact and depend on the parameters alone.
"""

import math

import torch
from torch import Tensor

Grid = tuple[int, int]


def _are_ints(*values: int, least: int) -> bool:
    """Return whether all are integers of at least ``least``; 2.0 and True are not integers here."""
    return all(type(value) is int and value >= least for value in values)


def _check_grid(grid: Grid, block: int = 1) -> None:
    if len(grid) != 2 or not _are_ints(*grid, least=1):
        raise ValueError(f'grid must be two positive integers (rows, columns), got {grid}')
    if not _are_ints(block, least=1):
        raise ValueError(f'block must be a positive integer of patches, got {block}')


def masked_count(total: int, ratio: float) -> int:
    """Return how many of ``total`` units a mask of ``ratio`` hides.

    Raises:
        ValueError: a ratio outside (0, 1), or one that leaves nothing visible.
    """
    if not 0.0 < ratio < 1.0:
        raise ValueError(f'mask ratio must lie strictly between 0 and 1, got {ratio}')
    # The complement of MAE's ``len_keep = int(L * (1 - mask_ratio))`` (models_mae.py). Rounding
    # first keeps e.g. 10 * (1 - 0.9) = 0.9999... from losing the one visible patch.
    count = total - int(round(total * (1.0 - ratio), 6))
    if count == total:
        raise ValueError(f'mask ratio {ratio} leaves none of {total} units visible')
    return count


def checkerboard(
    grid: Grid,
    block: int = 1,
    offset: Grid = (0, 0),
    device: torch.device | str | None = None,
) -> Tensor:
    """Symmetric mask: a checkerboard with squares of ``block`` x ``block`` patches.

    ``M(i, j) = (floor((i + r) / block) + floor((j + c) / block)) mod 2`` with ``(r, c) = offset``;
    block 1 is SymMIM's small-scale mask, block 2 its large-scale one (arXiv 2408.12772). On
    14 x 14 they mask 98 and 96 of the 196 patches: the share is one half only where the number of
    squares is even along one side at least. A block larger than the grid masks nothing (or, with
    a suitable offset, a part).

    Returns:
        bool ``(H, W)``, ``True`` = masked.

    Raises:
        ValueError: a side or the block is not a positive integer, or an offset is negative.
    """
    _check_grid(grid, block)
    if len(offset) != 2 or not _are_ints(*offset, least=0):
        raise ValueError(f'offset must be two integers >= 0 (rows, columns), got {offset}')
    rows = (torch.arange(grid[0], device=device) + offset[0]) // block
    columns = (torch.arange(grid[1], device=device) + offset[1]) // block
    return (rows[:, None] + columns[None, :]) % 2 == 1


def shifted_checkerboards(grid: Grid, block: int, offsets: Tensor) -> Tensor:
    """Return checkerboards of ``block`` bool ``(B, H, W)``, each moved by its own offset.

    ``offsets`` int64 ``(B, 2)``, rows and columns, are >= 0; drawn from ``[0, 2 * block)`` they
    give every position of the pattern, its inverse included.
    """
    _check_grid(grid, block)
    rows = (torch.arange(grid[0], device=offsets.device) + offsets[:, :1]) // block
    columns = (torch.arange(grid[1], device=offsets.device) + offsets[:, 1:]) // block
    return (rows[:, :, None] + columns[:, None, :]) % 2 == 1


def draw_parity(
    batch: int,
    device: torch.device | str | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw one fair coin per image: bool ``(B,)``, ``True`` = use the inverted mask."""
    return torch.rand(batch, device=device, generator=generator) < 0.5


def random_mask(
    grid: Grid,
    ratio: float,
    batch: int,
    unit: int = 1,
    device: torch.device | str | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mask a random subset of squares of ``unit`` x ``unit`` patches, the same number per image.

    ``unit=1, ratio=.75`` is MAE's mask; ``unit=2, ratio=.6`` SimMIM's (32-pixel squares over
    16-pixel patches). The visible units are ``floor((1 - ratio) * units)``, which for both is the
    number their own code keeps. Squares cut off by the border of the grid count as whole units.

    Raises:
        ValueError: bad grid or unit, a ratio outside (0, 1), or one that leaves nothing visible.
    """
    _check_grid(grid, unit)
    rows, columns = (math.ceil(side / unit) for side in grid)
    count = masked_count(rows * columns, ratio)
    noise = torch.rand(batch, rows * columns, device=device, generator=generator)
    # The rank of its noise decides about a unit: exact counts without a loop.
    mask = noise.argsort(dim=1).argsort(dim=1) < count
    mask = mask.view(batch, rows, columns)
    mask = mask.repeat_interleave(unit, dim=1).repeat_interleave(unit, dim=2)
    return mask[:, : grid[0], : grid[1]]


def blockwise_mask(
    grid: Grid,
    ratio: float,
    batch: int,
    min_patches: int = 4,
    min_aspect: float = 0.3,
    rectangles: int = 64,
    device: torch.device | str | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mask random rectangles, after BEiT's block-wise masking, with an exact count per image.

    Rectangles have an area uniform in ``[min_patches, ratio * H * W]`` and an aspect ratio
    log-uniform in ``[min_aspect, 1 / min_aspect]`` (BEiT ``masking_generator.py``). BEiT adds
    them one by one until its budget is used; here all are drawn at once, the earlier one wins a
    patch, and the last one needed is filled row by row up to the exact count.

    Returns:
        bool ``(B, H, W)`` with ``H * W - floor((1 - ratio) * H * W)`` masked patches per image.

    Raises:
        ValueError: bad grid, ratio, ``min_patches``, ``min_aspect`` or ``rectangles``.
    """
    _check_grid(grid)
    height, width = grid
    total = height * width
    count = masked_count(total, ratio)
    if not _are_ints(min_patches, rectangles, least=1) or not 0.0 < min_aspect <= 1.0:
        raise ValueError(
            'blockwise_mask needs integers min_patches and rectangles >= 1 and '
            f'0 < min_aspect <= 1, got {min_patches}, {rectangles} and {min_aspect}'
        )
    uniform = torch.rand(4, batch, rectangles, device=device, generator=generator)
    area = min_patches + uniform[0] * max(count - min_patches, 0)
    aspect = torch.exp((2.0 * uniform[1] - 1.0) * math.log(1.0 / min_aspect))
    tall = (area * aspect).sqrt().round().clamp(1, height)
    wide = (area / aspect).sqrt().round().clamp(1, width)
    top = (uniform[2] * (height - tall + 1)).floor()
    left = (uniform[3] * (width - wide + 1)).floor()
    rows = torch.arange(height, device=device)
    columns = torch.arange(width, device=device)
    in_rows = (rows >= top[..., None]) & (rows < (top + tall)[..., None])  # (B, R, H)
    in_columns = (columns >= left[..., None]) & (columns < (left + wide)[..., None])
    covered = in_rows[..., :, None] & in_columns[..., None, :]  # (B, R, H, W)
    # Rank of a patch: the first rectangle that covers it, then its place in reading order.
    first = torch.where(covered.any(1), covered.int().argmax(1), rectangles)
    order = first.flatten(1) * total + torch.arange(total, device=device)
    mask = order.argsort(dim=1).argsort(dim=1) < count
    return mask.view(batch, height, width)


def grid_mask(
    grid: Grid,
    keep_every: int = 2,
    offset: Grid = (0, 0),
    device: torch.device | str | None = None,
) -> Tensor:
    """Keep one patch of every ``keep_every`` x ``keep_every`` square, mask the others.

    The "grid" sampling of MAE's mask ablation (75 % masked for ``keep_every=2`` on an even grid);
    bool ``(H, W)``.

    Raises:
        ValueError: bad grid, ``keep_every`` below 2 or a negative offset.
    """
    _check_grid(grid, keep_every)
    if keep_every < 2 or len(offset) != 2 or not _are_ints(*offset, least=0):
        raise ValueError(
            'grid_mask needs keep_every >= 2 and two integers >= 0 as offset, got '
            f'{keep_every} and {offset}'
        )
    rows = (torch.arange(grid[0], device=device) + offset[0]) % keep_every == 0
    columns = (torch.arange(grid[1], device=device) + offset[1]) % keep_every == 0
    return ~(rows[:, None] & columns[None, :])


def visible_indices(mask: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Choose ``count`` visible patches of every image: ascending indices int64 ``(B, count)``.

    An image with more than ``count`` visible patches loses a random few of them (a checkerboard
    and its inverse differ by a square on odd grids, and a batch needs one length). ``count`` must
    not exceed the visible patches of any image; it is a number known without looking at ``mask``.
    """
    flat = mask.flatten(1)
    noise = torch.rand(flat.shape, device=flat.device, generator=generator)
    return (flat + noise * 0.5).argsort(dim=1)[:, :count].sort(dim=1).values
