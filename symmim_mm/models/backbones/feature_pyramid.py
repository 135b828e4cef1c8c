"""The simple feature pyramid of ViTDet: all levels from a plain ViT's last map."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from symmim_mm.registry import MODELS
from symmim_mm.utils.errors import UserError

NORM = dict(type='mmpretrain.LN2d', eps=1e-6)  # detectron2's LayerNorm over channels


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Maps of several strides from one map (ViTDet, arXiv 2203.16527, section 3).

    Each level is resampled from the last map on its own, then goes through a 1 x 1 and a 3 x 3
    convolution with a LayerNorm after each (detectron2 ``modeling/backbone/vit.py``,
    ``SimpleFeaturePyramid``). Levels beyond ``scale_factors`` are the last one, subsampled by 2.

    Args:
        in_channels: channels of the backbone's map.
        out_channels: channels of every level.
        scale_factors: 4, 2, 1 and 0.5 in falling order, as many of them as are wanted. A ViT with
            patch 16 makes strides 4, 8, 16, 32 of all four; one with patch 8 makes strides
            4, 8, 16 of (2, 1, 0.5).
        num_outs: number of levels, those by subsampling included.
        norm_cfg: the norm after each convolution and inside the factor 4.

    Raises:
        UserError: a scale factor that is not one of the four, or fewer outputs than factors.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        scale_factors: Sequence[float] = (4, 2, 1, 0.5),
        num_outs: int = 5,
        norm_cfg: dict = NORM,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_outs < len(scale_factors):
            raise UserError(
                f'num_outs={num_outs} is less than the {len(scale_factors)} scale factors'
            )
        self.num_outs, self.scale_factors = num_outs, tuple(scale_factors)
        self.levels = nn.ModuleList()
        for factor in scale_factors:
            resample, channels = make_resampling(factor, in_channels, norm_cfg)
            reduce = ConvModule(channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
            smooth = ConvModule(
                out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=None
            )
            self.levels.append(nn.Sequential(*resample, reduce, smooth))

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Make the levels, finest first, from the last of the maps ``(B, in_channels, h, w)``."""
        outs = [level(inputs[-1]) for level in self.levels]
        while len(outs) < self.num_outs:
            # A max pool of size 1 and stride 2, as detectron2's LastLevelMaxPool.
            outs.append(F.max_pool2d(outs[-1], kernel_size=1, stride=2))
        return tuple(outs)


def check_strides(detector: nn.Module) -> None:
    """Compare the strides of a detector's anchors and regions with those of its levels.

    Raises:
        UserError: they differ: boxes would be taken from the wrong places, without an error.
    """
    if not isinstance(getattr(detector, 'neck', None), SimpleFeaturePyramid):
        return
    patch, neck = detector.backbone.patch_embed.projection.stride[0], detector.neck
    levels = [patch / factor for factor in neck.scale_factors]
    while len(levels) < neck.num_outs:
        levels.append(2 * levels[-1])
    found = {}
    if hasattr(getattr(detector, 'rpn_head', None), 'prior_generator'):
        strides = [stride[0] for stride in detector.rpn_head.prior_generator.strides]
        found['rpn_head.anchor_generator.strides'] = strides, levels
    for name in ('bbox_roi_extractor', 'mask_roi_extractor'):
        if extractor := getattr(getattr(detector, 'roi_head', None), name, None):
            strides = list(extractor.featmap_strides)
            found[f'roi_head.{name}.featmap_strides'] = strides, levels[: len(strides)]
    for name, (strides, right) in found.items():
        if strides != right:
            raise UserError(
                f'model.{name}={strides}, but the levels of patch {patch} with '
                f'neck.scale_factors={neck.scale_factors} have strides '
                f'{[int(stride) for stride in right]}: set it to these'
            )


def make_resampling(factor: float, channels: int, norm_cfg: dict) -> tuple[list[nn.Module], int]:
    """Return layers that scale a map by ``factor``, and their number of output channels."""

    def double(before: int, after: int) -> nn.Module:
        return nn.ConvTranspose2d(before, after, kernel_size=2, stride=2)

    if factor == 4:
        half, quarter = channels // 2, channels // 4
        norm = build_norm_layer(norm_cfg, half)[1]
        return [double(channels, half), norm, nn.GELU(), double(half, quarter)], quarter
    if factor == 2:
        return [double(channels, channels // 2)], channels // 2
    if factor == 1:
        return [], channels
    if factor == 0.5:
        return [nn.MaxPool2d(kernel_size=2, stride=2)], channels
    raise UserError(f'scale factor {factor} is not one of 4, 2, 1, 0.5')
