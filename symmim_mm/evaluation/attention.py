"""Maps over the patches: attention of the class token, similarity to a patch."""

from collections.abc import Sequence

import torch
from mmpretrain.models import VisionTransformer
from torch import Tensor
from torch.nn.functional import normalize


@torch.no_grad()
def class_attention(backbone: VisionTransformer, images: Tensor) -> Tensor:
    """Compute the attention of the class token over the patches in the last block.

    Args:
        backbone: a ViT with a class token.
        images: ``(B, 3, H, W)``, normalized.

    Returns:
        ``(B, heads, h, w)``; each head sums to at most 1 (the rest is on the class token itself).
    """
    last = backbone.layers[-1]
    entered: list[Tensor] = []
    handle = last.attn.register_forward_pre_hook(lambda module, x: entered.append(x[0]))
    try:
        backbone.eval()
        VisionTransformer.forward(backbone, images)  # of MAE's, too, without a mask
    finally:
        handle.remove()
    attention = last.attn
    batch, count, _ = entered[0].shape
    qkv = attention.qkv(entered[0]).reshape(batch, count, 3, attention.num_heads, -1)
    query, key = (qkv[:, :, part].transpose(1, 2) for part in (0, 1))
    weights = (query[:, :, :1] @ key.transpose(-2, -1) * attention.head_dims**-0.5).softmax(-1)
    size = backbone.patch_embed.projection.kernel_size
    grid = (images.shape[2] // size[0], images.shape[3] // size[1])
    return weights[:, :, 0, 1:].reshape(batch, attention.num_heads, *grid)


@torch.no_grad()
def patch_similarity(
    backbone: VisionTransformer, images: Tensor, patches: Sequence[tuple[int, int]] = ()
) -> Tensor:
    """Compute the cosine of each patch token with some of them, after the final norm.

    Args:
        backbone: a ViT with ``out_type='raw'``.
        images: ``(B, 3, H, W)``, normalized.
        patches: rows and columns of these patches; by default the nine in the middles of a 3 x 3
            division of the image.

    Returns:
        ``(B, len(patches), h, w)``.
    """
    backbone.eval()
    tokens = normalize(VisionTransformer.forward(backbone, images)[-1][:, 1:].float(), dim=-1)
    size = backbone.patch_embed.projection.kernel_size
    height, width = images.shape[2] // size[0], images.shape[3] // size[1]
    if not patches:
        rows, columns = ([side * part // 6 for part in (1, 3, 5)] for side in (height, width))
        patches = [(row, column) for row in rows for column in columns]
    chosen = [row * width + column for row, column in patches]
    cosine = tokens[:, chosen] @ tokens.transpose(1, 2)
    return cosine.reshape(len(images), len(chosen), height, width)
