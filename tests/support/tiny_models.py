"""Small models of each method, for tests that need one and not its size."""

from pathlib import Path

import torch
from mmpretrain.models import VisionTransformer
from torch import nn

TINY = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64)
POOLED = dict(out_type='avg_featmap', final_norm=False)


def tiny_config(
    method: str,
    layers: int = 2,
    decoder_depth: int = 0,
    norm: str | None = 'bn',
    **backbone: object,
) -> dict:
    """Return the config of a model for images of 32 pixels and 16 patches.

    Args:
        method: ``'symmim'``, ``'simmim'`` or ``'mae'``.
        layers: blocks of the encoder.
        decoder_depth: blocks of the decoder; with 0 there is none but in MAE, which has one.
        norm: of the contrastive head of SymMIM.
        **backbone: further options of the encoder.
    """
    vit = dict(arch=dict(TINY, num_layers=layers), img_size=32, patch_size=8) | backbone
    if method == 'mae':
        return dict(
            type='mmpretrain.MAE',
            backbone=dict(type='mmpretrain.MAEViT', **vit),
            neck=dict(
                type='mmpretrain.MAEPretrainDecoder', num_patches=16, patch_size=8, embed_dim=32,
                decoder_embed_dim=16, decoder_depth=max(decoder_depth, 1), decoder_num_heads=2,
            ),
            head=dict(
                type='mmpretrain.MAEPretrainHead', norm_pix=True, patch_size=8,
                loss=dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2'),
            ),
        )  # fmt: skip
    decoder = dict(depth=decoder_depth, embed_dims=16, num_heads=2)
    model = dict(
        backbone=dict(type='symmim_mm.MaskedViT', **vit),
        head=dict(decoder=decoder) if decoder_depth else {},
    )
    if method == 'simmim':
        return dict(type='symmim_mm.SimMIM', **model)
    contrast = dict(hidden_dims=16, out_dims=8, norm=norm)
    return dict(type='symmim_mm.SymMIM', **model, contrast=contrast)


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
