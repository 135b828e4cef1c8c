"""Encoders, heads and algorithms. Importing this registers them all."""

from symmim_mm.models.backbones.feature_pyramid import SimpleFeaturePyramid
from symmim_mm.models.backbones.frozen_features import AttentiveFeatures, FrozenFeatures
from symmim_mm.models.backbones.masked_vit import MaskedViT
from symmim_mm.models.backbones.windowed_vit import WindowedViT
from symmim_mm.models.contrast_head import ContrastHead
from symmim_mm.models.momentum import MomentumBranch
from symmim_mm.models.pixel_head import PixelHead
from symmim_mm.models.simmim import SimMIM
from symmim_mm.models.symmim import SymMIM
from symmim_mm.models.view_preprocessor import ViewPreprocessor

__all__ = [
    'AttentiveFeatures',
    'ContrastHead',
    'FrozenFeatures',
    'MaskedViT',
    'MomentumBranch',
    'PixelHead',
    'SimMIM',
    'SimpleFeaturePyramid',
    'SymMIM',
    'ViewPreprocessor',
    'WindowedViT',
]
