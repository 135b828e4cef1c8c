"""MMPretrain's attention with cheaper backward passes."""

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor, nn


class SplitAttention(MultiheadAttention):
    """The same numbers, to the bit, forward and backward.

    MMPretrain takes queries, keys and values out of one tensor by three indices, and the gradient
    of each index is a tensor of all three, mostly zeros; then these are added up. Split in one
    operation, their gradients are written side by side, once, in the order in which the projection
    wants them.

    A module becomes one by assigning its class, which leaves its parameters and their random
    initial values alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Attend: tokens ``(B, N, C)`` to tokens of the same shape."""
        batch, count, _ = x.shape
        parts = self.qkv(x).view(batch, count, 3, self.num_heads, self.head_dims).unbind(2)
        query, key, value = (part.transpose(1, 2) for part in parts)  # (B, heads, N, C / heads)
        dropout = self.attn_drop if self.training else 0.0
        x = self.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        x = self.proj(x.transpose(1, 2).reshape(batch, count, self.embed_dims))
        return self.out_drop(self.gamma1(self.proj_drop(x)))


def split_attention(blocks: nn.ModuleList) -> None:
    """Replace the attention of all blocks by :class:`SplitAttention`."""
    for block in blocks:
        # With a shortcut from the values, which no ViT here has, MMPretrain's stays.
        if type(block.attn) is MultiheadAttention and not block.attn.v_shortcut:
            block.attn.__class__ = SplitAttention


# Above so many tokens the matrices of the matmul form no longer fit into the caches.
MATMUL_TOKENS = 512


def matmul_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
) -> Tensor:
    """Attend like ``scaled_dot_product_attention``, by matrix products where these are faster.

    The backward pass of torch's fused kernel for CPUs is up to four times slower in bf16 than in
    float32 (50 tokens, torch 2.14). Scores are rounded to bf16, as in every attention by matrix
    products under autocast.

    Args:
        query: ``(B, heads, N, C)``.
        key: of the same shape.
        value: of the same shape.
        attn_mask: what is added to the scores, ``(B, heads, N, N)``.
        dropout_p: share of the attention weights to drop.
    """
    slow = query.dtype == torch.bfloat16 and query.requires_grad
    if not slow or query.shape[-2] > MATMUL_TOKENS:
        return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if attn_mask is not None:
        scores = scores + attn_mask
    return F.dropout(scores.softmax(-1), dropout_p) @ value


def use_matmul_attention(model: nn.Module) -> None:
    """Let all attention of a model be :func:`matmul_attention`, for mixed precision on a CPU."""
    for module in model.modules():
        if isinstance(module, MultiheadAttention):
            module.scaled_dot_product_attention = matmul_attention
