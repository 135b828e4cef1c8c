"""What a linear probe reads: a feature that the pre-training trained."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models.necks import ClsBatchNormNeck
from paths import ROOT
from tiny_models import tiny_config

from symmim_mm.apis.visualize import trains_class_token
from symmim_mm.models import FrozenFeatures
from symmim_mm.utils.errors import UserError


@pytest.mark.parametrize('size', ['s', 'b', 'l'])
def test_the_default_is_the_mean_of_the_patches_for_every_method(size: str) -> None:
    folder = ROOT / 'configs/classification'
    necks = [
        Config.fromfile(folder / f'vit_{size}_{name}_imagenet.py').model
        for name in ('linear', 'linear_cls')
    ]
    assert [model.neck.pooling for model in necks] == ['patch_mean', 'cls_token']
    assert all(model.backbone.out_type == 'raw' and model.backbone.final_norm for model in necks)
    assert all(model.neck.in_channels == model.head.in_channels for model in necks)


@pytest.mark.parametrize(
    ('method', 'options', 'trained'),
    [
        ('simmim', {}, False),
        ('symmim', {}, False),
        ('symmim', dict(encoding='sparse', decoder_depth=1), True),
        ('mae', {}, True),
    ],
)
def test_only_some_train_the_class_token(
    method: str, options: dict, trained: bool, mmpretrain_scope
) -> None:
    """The gradient at the encoder's output is exactly 0 where nothing does."""
    model = MODELS.build(tiny_config(method, **options))
    model.init_weights()
    found: list[torch.Tensor] = []
    norm = model.backbone.ln1
    norm.register_forward_hook(lambda module, inputs, output: found.append(output))
    images = torch.randn(4, 3, 32, 32)
    losses = model.loss([images, images] if method == 'symmim' else images, None)
    found[0].retain_grad()
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert bool(found[0].grad[:, 0].any()) == trained == trains_class_token(model)
    assert found[0].grad[:, 1:].any()


def test_pooled_and_normalized() -> None:
    tokens = torch.randn(8, 5, 6)
    for pooling, pooled in (('patch_mean', tokens[:, 1:].mean(1)), ('cls_token', tokens[:, 0])):
        stock = ClsBatchNormNeck(6)
        (expected,) = stock((pooled,))
        (found,) = FrozenFeatures(6, pooling)((tokens,))
        torch.testing.assert_close(found, expected)
    with pytest.raises(UserError, match='pooling'):
        FrozenFeatures(6, 'max')


def test_every_patch_is_normalized() -> None:
    maps = 3 + 2 * torch.randn(8, 6, 4, 5)
    (found,) = FrozenFeatures(6, 'none')((maps,))
    expected = torch.nn.BatchNorm2d(6, affine=False, eps=1e-6)(maps)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ('size', 'width', 'last'), [('s', 384, 11), ('b', 768, 11), ('l', 1024, 23)]
)
def test_the_dense_probe_is_one_linear_layer(size: str, width: int, last: int) -> None:
    cfg = Config.fromfile(ROOT / f'configs/segmentation/linear_vit_{size}_ade20k.py')
    init_default_scope('mmseg')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    trained = {name: p.shape for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {
        'decode_head.conv_seg.weight': (150, width, 1, 1), 'decode_head.conv_seg.bias': (150,)
    }  # fmt: skip
    assert model.backbone.out_indices == (last,) and model.backbone.final_norm
