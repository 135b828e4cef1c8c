"""Number of tokens that the encoders of a run process."""

import itertools
from dataclasses import dataclass

import torch
from mmpretrain.models import MAEViT
from torch import nn

from symmim_mm.config.image_size import Size
from symmim_mm.models import SimMIM, SymMIM, WindowedViT
from symmim_mm.models.masks import checkerboard


@dataclass(frozen=True)
class Tokens:
    """Tokens of one encoder for one image.

    Args:
        encoder: its name.
        grid: rows and columns of patches.
        masked: numbers of masked patches that masks may have; empty: no mask.
        encoded: tokens that the encoder processes, class token included.
        windows: number of windows in a windowed block; 0 without windows.
        per_window: tokens of one window, class token included.
        windowed_blocks: number of windowed blocks.
    """

    encoder: str
    grid: Size
    masked: tuple[int, ...]
    encoded: int
    windows: int = 0
    per_window: int = 0
    windowed_blocks: int = 0

    @property
    def patches(self) -> int:
        """Number of patches of the image."""
        return self.grid[0] * self.grid[1]


def count_tokens(model: nn.Module, size: Size) -> list[Tokens]:
    """Count the tokens of every encoder of a model.

    Args:
        model: as built from a config; its masks must have values.
        size: height and width of the training images.
    """
    backbone = model.backbone
    patch = backbone.patch_embed.projection.kernel_size[0]
    grid = (size[0] // patch, size[1] // patch)
    patches, extra = grid[0] * grid[1], backbone.num_extra_tokens
    if isinstance(model, SymMIM):
        dense = backbone.encoding == 'dense'
        online = _counts([model.online_mask], model.parity != 'fixed')
        encoded = patches if dense else model.online_visible
        found = [Tokens('online', grid, online, encoded + extra)]
        if model.contrast_weight > 0:
            masks = [model.momentum_mask]
            if model.momentum_offsets:
                shifts = itertools.product(range(2 * model.momentum_block), repeat=2)
                masks = [checkerboard(grid, model.momentum_block, shift) for shift in shifts]
            masked = _counts(masks, model.parity != 'fixed')
            encoded = patches if dense else model.momentum_visible
            found.append(Tokens('momentum', grid, masked, encoded + extra))
        return found
    if isinstance(model, SimMIM):
        mask, visible = model.draw_reconstruction_mask(1, torch.device('cpu'))
        encoded = visible if backbone.encoding == 'sparse' else patches
        return [Tokens('encoder', grid, (int(mask.sum()),), encoded + extra)]
    if isinstance(backbone, MAEViT):
        visible = int(patches * (1 - backbone.mask_ratio))
        return [Tokens('encoder', grid, (patches - visible,), visible + extra)]
    if isinstance(backbone, WindowedViT) and len(backbone.global_blocks) < backbone.num_layers:
        sides = [min(backbone.window_size, side) for side in grid]
        windows = -(-grid[0] // sides[0]) * -(-grid[1] // sides[1])
        windowed = backbone.num_layers - len(backbone.global_blocks)
        per_window = sides[0] * sides[1] + extra
        return [Tokens('encoder', grid, (), patches + extra, windows, per_window, windowed)]
    return [Tokens('encoder', grid, (), patches + extra)]


def _counts(masks: list[torch.Tensor], inverted: bool) -> tuple[int, ...]:
    """Return the numbers of masked patches of some masks, and of their inverses."""
    found = {int(mask.sum()) for mask in masks}
    if inverted:
        found |= {mask.numel() - int(mask.sum()) for mask in masks}
    return tuple(sorted(found))
