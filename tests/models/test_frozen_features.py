"""What a linear probe reads: a feature that the pre-training trained."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models.necks import ClsBatchNormNeck
from paths import ROOT
from quickstart import write_config
from tiny_models import tiny_config

from symmim_mm.apis.train import train
from symmim_mm.apis.visualize import trains_class_token
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.models import AttentiveFeatures, FrozenFeatures
from symmim_mm.results.record import FILE_NAME, Record
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


def test_the_query_attends_to_the_patches_by_the_formula() -> None:
    """Scores of each head over the patches, a weighted sum of values, BatchNorm without scale."""
    torch.manual_seed(0)
    neck, tokens = AttentiveFeatures(6, num_heads=2), torch.randn(8, 5, 6)
    (found,) = neck((tokens,))
    patches = tokens[:, 1:]
    entered = neck.query.expand(8, 1, 6), neck.norm_key(patches), neck.norm_value(patches)
    weights = neck.attention.in_proj_weight.chunk(3), neck.attention.in_proj_bias.chunk(3)
    query, key, value = map(F.linear, entered, *weights)
    heads = []
    for part in range(2):
        q, k, v = (x[..., 3 * part : 3 * part + 3] for x in (query, key, value))
        heads.append((q @ k.transpose(1, 2) / 3**0.5).softmax(-1) @ v)
    pooled = neck.attention.out_proj(torch.cat(heads, dim=-1))[:, 0]
    (expected,) = ClsBatchNormNeck(6)((pooled,))
    torch.testing.assert_close(found, expected)
    tokens[:, 0] += 1.0  # the class token is no key
    assert torch.equal(neck((tokens,))[0], found)


@pytest.mark.slow
def test_the_attentive_probe_trains_its_neck_and_head_alone(
    sample_data: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, 'attentive', sample_data, 'recipe = dict(epochs=1, batch=8)')
    train(config, work_dir=tmp_path / 'work', seed=0)
    record = Record.read(tmp_path / 'work' / FILE_NAME)
    assert record.task == 'attentive' and 0 <= record.metrics['top1'] <= 100
    trained = read_checkpoint(tmp_path / 'work' / record.checkpoint)['state_dict']
    model = MODELS.build(Config.fromfile(config).model)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {name for name in model.state_dict() if name.startswith('backbone.')}
    assert any(name.startswith('neck.attention') for name in trained.keys() - frozen)


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
