"""Pixel reconstruction: patches, the prediction head and ``L_mim``."""

import torch
from mmengine.model import BaseModule
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import Tensor, nn

from symmim_mm.models.backbones.masked_vit import init_linear_layers, sincos_position_embedding
from symmim_mm.models.backbones.split_attention import split_attention
from symmim_mm.utils.errors import UserError


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """Cut ``(B, C, H, W)`` into ``(B, h * w, patch_size ** 2 * C)``, channels last as in MAE."""
    batch, channels, height, width = images.shape
    rows, columns = height // patch_size, width // patch_size
    x = images.reshape(batch, channels, rows, patch_size, columns, patch_size)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, -1)


def unpatchify(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """Invert :func:`patchify`: ``(B, h * w, p * p * C)`` -> ``(B, C, H, W)``."""
    batch, _, width = patches.shape
    channels = width // patch_size**2
    x = patches.reshape(batch, *grid, patch_size, patch_size, channels)
    x = x.permute(0, 5, 1, 3, 2, 4)
    return x.reshape(batch, channels, grid[0] * patch_size, grid[1] * patch_size)


class PixelHead(BaseModule):
    """Predict the pixels of every patch and compare the masked ones.

    Without a decoder: one linear layer per token (SimMIM ``models/simmim.py``, where it is a
    1 x 1 convolution and a pixel shuffle). With one: MAE's decoder (``models_mae.py``), which
    also fills in mask tokens where the encoder was sparse.

    Args:
        in_dims: channels of the encoder's tokens.
        grid: the encoder's patch grid, rows and columns.
        patch_size: side of a patch in pixels.
        in_channels: color channels.
        loss: ``'l1'`` or ``'l2'``.
        norm_pix: compare with pixels normalized per patch (MAE); used with ``'l2'`` there.
        decoder: ``None`` or ``dict(depth, embed_dims, num_heads)``.

    Raises:
        UserError: an unknown loss.
    """

    def __init__(
        self,
        in_dims: int,
        grid: tuple[int, int],
        patch_size: int = 16,
        in_channels: int = 3,
        loss: str = 'l1',
        norm_pix: bool = False,
        decoder: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if loss not in ('l1', 'l2'):
            raise UserError(f"the pixel loss must be 'l1' or 'l2', got '{loss}'")
        self.grid = tuple(grid)
        self.patch_size = patch_size
        self.loss_name = loss
        self.norm_pix = norm_pix
        self.decoder = PixelDecoder(in_dims, grid, **decoder) if decoder else None
        width = decoder['embed_dims'] if decoder else in_dims
        self.predict = nn.Linear(width, patch_size**2 * in_channels)

    def init_weights(self) -> None:
        super().init_weights()
        init_linear_layers(self.predict)

    def forward(self, tokens: Tensor, indices: Tensor | None = None) -> Tensor:
        """Predict pixels ``(B, h * w, patch_size ** 2 * channels)``.

        Args:
            tokens: ``(B, 1 + n, C)`` from :class:`MaskedViT`, class token first.
            indices: int64 ``(B, n)``, the patches they stand for, where a decoder fills the gaps;
                ``None`` = all, in order.
        """
        if self.decoder is not None:
            tokens = self.decoder(tokens, indices)
        return self.predict(tokens[:, 1:])

    def target(self, images: Tensor) -> Tensor:
        """Return the pixels to predict ``(B, h * w, p * p * C)``, normalized per patch if asked."""
        target = patchify(images, self.patch_size)
        if self.norm_pix:
            mean = target.mean(dim=-1, keepdim=True)
            variance = target.var(dim=-1, keepdim=True)
            target = (target - mean) / (variance + 1e-6).sqrt()
        return target

    def loss(self, prediction: Tensor, images: Tensor, mask: Tensor) -> Tensor:
        """Compute ``L_mim``, the mean error over the pixels and channels of masked patches.

        Args:
            prediction: ``(B, h * w, p * p * C)``.
            images: ``(B, C, H, W)``, normalized as the encoder saw them.
            mask: bool ``(B, h, w)``, ``True`` = masked = counted.
        """
        difference = prediction.float() - self.target(images.float())
        error = difference.abs() if self.loss_name == 'l1' else difference.square()
        weight = mask.flatten(1).to(error.dtype)
        return (error.mean(dim=-1) * weight).sum() / weight.sum()


class PixelDecoder(BaseModule):
    """MAE's decoder without its last layer: embed, fill with mask tokens, attend, normalize.

    ``depth``, ``embed_dims`` and ``num_heads`` are of the transformer blocks (MLP ratio 4).
    """

    def __init__(
        self,
        in_dims: int,
        grid: tuple[int, int],
        depth: int = 2,
        embed_dims: int = 512,
        num_heads: int = 16,
    ) -> None:
        super().__init__()
        self.num_patches = grid[0] * grid[1]
        self.embed = nn.Linear(in_dims, embed_dims)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        positions = sincos_position_embedding(tuple(grid), embed_dims)
        # A buffer that follows the device but not the checkpoint: it is a constant.
        self.register_buffer('pos_embed', positions, persistent=False)
        norm_cfg = dict(type='LN', eps=1e-6)
        self.blocks = nn.ModuleList(
            TransformerEncoderLayer(embed_dims, num_heads, 4 * embed_dims, norm_cfg=norm_cfg)
            for _ in range(depth)
        )
        split_attention(self.blocks)
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)

    def init_weights(self) -> None:
        super().init_weights()
        nn.init.normal_(self.mask_token, std=0.02)
        init_linear_layers(self)

    def forward(self, tokens: Tensor, indices: Tensor | None) -> Tensor:
        """``(B, 1 + n, C)`` and the patches they stand for -> ``(B, 1 + h * w, embed_dims)``."""
        x = self.embed(tokens)
        if indices is not None:
            full = self.mask_token.to(x.dtype).repeat(len(x), self.num_patches, 1)
            where = indices[..., None].expand(-1, -1, x.shape[-1])
            x = torch.cat((x[:, :1], full.scatter(1, where, x[:, 1:])), dim=1)
        x = x + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)
