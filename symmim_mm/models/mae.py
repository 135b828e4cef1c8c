"""MMPretrain's MAE with masks of one's own choice."""

import torch
from mmpretrain.models.selfsup.mae import MAE
from torch import Tensor

from symmim_mm.models.masks import random_mask


@torch.no_grad()
def reconstruct_mae(
    model: MAE, images: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mask normalized images ``(B, 3, H, W)`` and predict them.

    ``MAEViT.forward`` draws its masks itself; this is the same computation with a mask given.

    Args:
        model: in evaluation mode.
        images: normalized.
        mask: bool ``(B, h, w)``, with equally many patches masked in every image; random, of the
            model's ratio, by default.

    Returns:
        The masks, bool ``(B, h, w)``, and the raw prediction ``(B, h * w, p * p * 3)``.
    """
    encoder = model.backbone
    if mask is None:
        grid = tuple(encoder.patch_resolution)
        mask = random_mask(grid, encoder.mask_ratio, len(images), device=images.device)
    hidden = mask.flatten(1)
    order = hidden.int().argsort(dim=1, stable=True)  # visible patches first
    visible = order[:, : int((~hidden[0]).sum()), None]
    tokens = encoder.patch_embed(images)[0] + encoder.pos_embed[:, 1:]
    tokens = tokens.gather(1, visible.expand(-1, -1, tokens.shape[-1]))
    cls_token = (encoder.cls_token + encoder.pos_embed[:, :1]).expand(len(images), -1, -1)
    tokens = torch.cat((cls_token, tokens), dim=1)
    for layer in encoder.layers:
        tokens = layer(tokens)
    return mask, model.neck(encoder.norm1(tokens), order.argsort(dim=1))
