"""SimpleFeaturePyramid: strides, channels, and what each level is made of."""

from contextlib import nullcontext

import pytest
import torch
from mmdet.registry import MODELS as DET_MODELS
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from paths import ROOT
from torch import nn

from symmim_mm.models.backbones.feature_pyramid import SimpleFeaturePyramid, check_strides
from symmim_mm.utils.errors import UserError


def test_strides_and_channels_of_patch_16():
    neck = SimpleFeaturePyramid(in_channels=32, out_channels=16)
    outs = neck((torch.zeros(2, 32, 3, 3), torch.randn(2, 32, 8, 12)))
    sizes = [(8 * f // 2, 12 * f // 2) for f in (8, 4, 2, 1)] + [(2, 3)]  # strides 4 .. 64
    assert [tuple(out.shape) for out in outs] == [(2, 16, *size) for size in sizes]
    assert torch.equal(outs[4], outs[3][:, :, ::2, ::2])


def test_strides_of_patch_8():
    neck = SimpleFeaturePyramid(16, 8, scale_factors=(2, 1, 0.5), num_outs=3)
    outs = neck((torch.randn(1, 16, 12, 12),))
    assert [tuple(out.shape) for out in outs] == [(1, 8, s, s) for s in (24, 12, 6)]


def test_levels_are_normed_over_channels():
    neck = SimpleFeaturePyramid(in_channels=32, out_channels=16)
    for out in neck((torch.randn(1, 32, 4, 4),))[:4]:
        torch.testing.assert_close(out.mean(dim=1), torch.zeros_like(out[:, 0]), rtol=0, atol=1e-5)
        assert (out.var(dim=1, unbiased=False) - 1).abs().max() < 1e-2


def test_every_parameter_gets_a_gradient():
    neck = SimpleFeaturePyramid(in_channels=32, out_channels=16)
    weights = torch.randn(16, 1, 1)
    sum((weights * out).square().mean() for out in neck((torch.randn(2, 32, 8, 8),))).backward()
    for name, param in neck.named_parameters():
        assert param.grad is not None and param.grad.abs().sum() > 0, name


def test_mmdetection_builds_it():
    neck = DET_MODELS.build(
        dict(type='symmim_mm.SimpleFeaturePyramid', in_channels=32, norm_cfg=dict(type='BN'))
    )
    assert isinstance(neck, SimpleFeaturePyramid)
    assert any(isinstance(module, nn.BatchNorm2d) for module in neck.modules())


def test_wrong_settings_are_refused():
    with pytest.raises(UserError, match='scale factor 3'):
        SimpleFeaturePyramid(32, scale_factors=(3, 1))
    with pytest.raises(UserError, match='num_outs=1'):
        SimpleFeaturePyramid(32, scale_factors=(2, 1), num_outs=1)


@pytest.mark.parametrize(
    ('patch', 'changes', 'wrong'),
    [
        (8, {}, r'rpn_head.anchor_generator.strides.* have strides \[2, 4, 8, 16, 32\]'),
        (32, {}, r'rpn_head.anchor_generator.strides.* have strides \[8, 16, 32, 64, 128\]'),
        (
            16,
            {'roi_head.mask_roi_extractor.featmap_strides': [8, 16, 32, 64]},
            'mask_roi_extractor',
        ),
        (8, {'neck.scale_factors': (2, 1, 0.5)}, None),
        (16, {}, None),
    ],
)
def test_strides_are_those_of_the_levels(patch: int, changes: dict, wrong: str | None) -> None:
    """Patch 8 with factors 2, 1, 0.5 has the strides 4, 8, 16, 32, 64 of the full recipe."""
    cfg = Config.fromfile(ROOT / 'configs/detection/mask-rcnn_vit_s_100ep_coco.py')
    cfg.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    cfg.model.backbone.patch_size = patch
    init_default_scope('mmdet')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    with pytest.raises(UserError, match=wrong) if wrong else nullcontext():
        check_strides(model)
