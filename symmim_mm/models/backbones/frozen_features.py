"""Necks of probes: normalized features from the tokens of a frozen encoder."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from symmim_mm.models.contrast_head import pool
from symmim_mm.registry import MODELS
from symmim_mm.utils.errors import UserError

POOLINGS = ('patch_mean', 'cls_token', 'none')


@MODELS.register_module()
class FrozenFeatures(BaseModule):
    """Pools tokens and normalizes each channel by a BatchNorm without scale (MAE).

    A class token is a feature only where a loss trains it: MAE's decoder does, a linear head on
    patch tokens (SimMIM, dense SymMIM) does not. The mean of the patch tokens is trained by all.

    Args:
        in_channels: of a token.
        pooling: ``'patch_mean'``, ``'cls_token'``, or ``'none'`` for a probe of every patch.

    Raises:
        UserError: another pooling.
    """

    def __init__(self, in_channels: int, pooling: str = 'patch_mean') -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise UserError(f"pooling must be one of {POOLINGS}, got '{pooling}'")
        self.pooling = pooling
        # Epsilon of MAE's main_linprobe.py.
        self.norm = nn.BatchNorm1d(in_channels, affine=False, eps=1e-6)

    def forward(self, tokens: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return features ``((B, C),)`` of the last tokens ``(B, 1 + N, C)``, class token first.

        Without pooling a map ``(B, C, h, w)`` comes in and goes out.
        """
        if self.pooling == 'none':
            return (self.norm(tokens[-1].flatten(2)).view_as(tokens[-1]),)
        return (self.norm(pool(tokens[-1], self.pooling, None, None)),)


@MODELS.register_module()
class AttentiveFeatures(BaseModule):
    """Attends to the patch tokens by one learned query, and normalizes as :class:`FrozenFeatures`.

    The attentive probe of CAE (lxtGH/CAE@d725971:models/modeling_finetune.py, ``AttentiveBlock``):
    a LayerNorm before the keys and one before the values, multi-head attention with an output
    projection, no residual, no MLP. There the class token is a key, too; here it is not, as only
    some methods train it. There a LayerNorm stands before the query, too, which makes no difference
    to what a learned query can be.

    Args:
        in_channels: of a token.
        num_heads: of the attention; those of the encoder in CAE.
    """

    def __init__(self, in_channels: int, num_heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(1, 1, in_channels))
        nn.init.trunc_normal_(self.query, std=0.02)
        self.norm_key = nn.LayerNorm(in_channels, eps=1e-6)
        self.norm_value = nn.LayerNorm(in_channels, eps=1e-6)
        self.attention = nn.MultiheadAttention(in_channels, num_heads, batch_first=True)
        self.norm = nn.BatchNorm1d(in_channels, affine=False, eps=1e-6)

    def forward(self, tokens: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return features ``((B, C),)`` of the last tokens ``(B, 1 + N, C)``, class token first."""
        patches = tokens[-1][:, 1:]
        query = self.query.expand(len(patches), -1, -1)
        key, value = self.norm_key(patches), self.norm_value(patches)
        pooled, _ = self.attention(query, key, value, need_weights=False)
        return (self.norm(pooled[:, 0]),)
