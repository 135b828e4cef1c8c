"""One checkpoint file, unconverted, in all three libraries: the features stay the same."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from tiny_models import TINY, save_backbone, tiny_config, vit
from torch import nn

from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.mmengine import check_init_cfg
from symmim_mm.utils.errors import UserError

LAYERS = 4
PRETRAININGS = ('symmim', 'simmim', 'mae')
SIZE = dict(arch=dict(TINY, num_layers=LAYERS), img_size=32, patch_size=8)
STOCK = dict(type='mmpretrain.VisionTransformer', **SIZE)
WINDOWED = dict(type='symmim_mm.WindowedViT', window_size=4, global_blocks=(1, 3), **SIZE)


@pytest.fixture(params=PRETRAININGS)
def pretrained(request: pytest.FixtureRequest, tmp_path: Path):
    """A pre-training model with weights away from their start, and its checkpoint file."""
    init_default_scope('mmpretrain')
    model = MODELS.build(tiny_config(request.param, LAYERS))
    model.init_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.eval()
    file = tmp_path / 'epoch_1.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), file)
    return model, file


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg'])
def test_features_equal_the_encoders_in_each_library(pretrained, scope: str) -> None:
    model, file = pretrained
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        tokens = model.extract_feat(images)[0]  # (B, 1 + 16, C)
    expected = tokens[:, 1:].transpose(1, 2).reshape(2, 32, 4, 4)

    init_default_scope(scope)
    cfg = dict(WINDOWED if scope == 'mmdet' else STOCK, out_type='featmap')
    if scope == 'mmseg':
        cfg['out_indices'] = [0, 1, 2, 3]
    backbone = MODELS.build(cfg)
    backbone.init_weights()
    load_backbone(backbone, file)
    backbone.eval()
    with torch.no_grad():
        torch.testing.assert_close(backbone(images)[-1], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ('state', 'prefix', 'fits'),
    [
        ({'backbone.cls_token': torch.zeros(1)}, 'backbone.', True),
        ({'backbone.cls_token': torch.zeros(1)}, 'backbone', True),
        ({'module.cls_token': torch.zeros(1)}, None, True),
        ({'backbone.cls_token': torch.zeros(1)}, None, False),
        ({'cls_token': torch.zeros(1)}, 'backbone.', False),
        ({1: torch.zeros(1)}, None, False),
        (None, 'backbone.', False),
    ],
)
def test_init_cfg_that_matches_nothing(
    state: dict | None, prefix: str | None, fits: bool, tmp_path: Path
) -> None:
    """MMEngine warns, and trains from a random start, or fails with a traceback."""
    file = tmp_path / 'x.pth'
    torch.save(dict(state_dict=state), file)
    model = nn.Module()
    init_cfg = dict(type='Pretrained', checkpoint=str(file), prefix=prefix)
    model.backbone = MODELS.build(dict(STOCK, out_type='raw', init_cfg=init_cfg))
    if fits:
        return check_init_cfg(model)
    with pytest.raises(UserError, match='init_cfg of model.backbone: .*x.pth has no tensor of it'):
        check_init_cfg(model)


def test_init_cfg_of_mmengine_takes_the_file_as_well(pretrained) -> None:
    model, file = pretrained
    init_cfg = dict(type='Pretrained', checkpoint=str(file), prefix='backbone.')
    backbone = MODELS.build(dict(STOCK, out_type='raw', init_cfg=init_cfg))
    backbone.init_weights()
    backbone.eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images)[0], model.extract_feat(images)[0])


@pytest.mark.parametrize('channels', [1, 2, 4, 8])
def test_patch_embeddings_of_other_channels(channels: int, tmp_path: Path) -> None:
    """As adapt_input_conv of timm (timm/models/_manipulate.py), written out."""
    model = vit()
    weight = model.patch_embed.projection.weight.detach()
    if channels == 1:
        expected = weight[:, :1] + weight[:, 1:2] + weight[:, 2:]
    else:
        expected = torch.stack([weight[:, n % 3] * 3 / channels for n in range(channels)], dim=1)
    target = vit(in_channels=channels)
    report = str(load_backbone(target, save_backbone(tmp_path / 'a.pth', model)))
    torch.testing.assert_close(target.patch_embed.projection.weight, expected)
    assert f'1 of them resized (patch_embed.projection.weight 3 -> {channels} channels)' in report
    file = save_backbone(tmp_path / 'b.pth', target)
    same = vit(in_channels=channels)
    assert '0 of them resized' in str(load_backbone(same, file))
    torch.testing.assert_close(same.patch_embed.projection.weight, expected)
    with pytest.raises(UserError, match=r'does not fit .*patch_embed.projection.weight \(32, '):
        load_backbone(vit(in_channels=3 if channels == 8 else channels + 1), file)
