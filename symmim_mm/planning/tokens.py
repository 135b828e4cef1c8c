"""Number of tokens that the encoders of a run process."""

from dataclasses import dataclass

from mmpretrain.models import MAEViT
from torch import nn

from symmim_mm.config.image_size import Size
from symmim_mm.models import SimMIM, SymMIM, WindowedViT
from symmim_mm.models.mask_samplers import MaskSampler


@dataclass(frozen=True)
class Tokens:
    """Tokens of one encoder for one image."""

    encoder: str  # its name
    grid: Size  # rows and columns of patches
    masked: tuple[int, ...]  # numbers of masked patches that masks may have; empty: no mask
    encoded: int  # tokens that the encoder processes, class token included
    windows: int = 0  # number of windows in a windowed block; 0 without windows
    per_window: int = 0  # tokens of one window, class token included
    windowed_blocks: int = 0  # number of windowed blocks

    @property
    def patches(self) -> int:
        """Number of patches of the image."""
        return self.grid[0] * self.grid[1]


def count_tokens(model: nn.Module, size: Size) -> list[Tokens]:
    """Count the tokens of every encoder of a model, for images of a height and width."""
    backbone = model.backbone
    patch = backbone.patch_embed.projection.kernel_size[0]
    grid = (size[0] // patch, size[1] // patch)
    patches, extra = grid[0] * grid[1], backbone.num_extra_tokens
    dense = getattr(backbone, 'encoding', None) == 'dense'

    def masked(encoder: str, sampler: MaskSampler | None, visible: int | None) -> Tokens:
        counts = sampler.masked_counts if sampler else ()
        encoded = patches if dense or visible is None else visible
        return Tokens(encoder, grid, counts, encoded + extra)

    if isinstance(model, SymMIM):
        found = [masked('online', model.online_mask, model.online_visible)]
        if model.contrast_weight > 0:
            found.append(masked('momentum', model.momentum_mask, model.momentum_visible))
        return found
    if isinstance(model, SimMIM):
        return [masked('encoder', model.mask, model.visible)]
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
