"""A plain ViT for tests that need one and not its size, and checkpoints of it."""

from pathlib import Path

import torch
from mmpretrain.models import VisionTransformer
from torch import nn

TINY = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64)
POOLED = dict(out_type='avg_featmap', final_norm=False)


def vit(**kwargs) -> VisionTransformer:
    """Build a ViT with random weights, for images of 32 x 32 pixels in patches of 8."""
    settings = dict(arch=TINY, img_size=32, patch_size=8, out_type='raw')
    model = VisionTransformer(**(settings | kwargs))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.eval()
    return model


def backbone_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights by the names that a checkpoint of ours gives them."""
    return {f'backbone.{key}': value for key, value in model.state_dict().items()}


def save_backbone(path: Path, model: nn.Module, **extra: torch.Tensor) -> Path:
    """Save a backbone, and what else is in ``extra``, as a pre-training saves it."""
    torch.save(dict(state_dict={**backbone_weights(model), **extra}, meta=dict(epoch=1)), path)
    return path
