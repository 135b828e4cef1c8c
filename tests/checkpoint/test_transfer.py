"""One checkpoint file, unconverted, in all three libraries: the features stay the same."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from symmim_mm.checkpoint.backbone import load_backbone

ARCH = dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=64)
SIZE = dict(arch=ARCH, img_size=32, patch_size=8)
PRETRAININGS = {
    'symmim': dict(
        type='symmim_mm.SymMIM',
        backbone=dict(type='symmim_mm.MaskedViT', **SIZE),
        head={},
        contrast=dict(hidden_dims=16, out_dims=8),
    ),
    'simmim': dict(
        type='symmim_mm.SimMIM', backbone=dict(type='symmim_mm.MaskedViT', **SIZE), head={}
    ),
    'mae': dict(
        type='mmpretrain.MAE',
        backbone=dict(type='mmpretrain.MAEViT', **SIZE),
        neck=dict(
            type='mmpretrain.MAEPretrainDecoder', num_patches=16, patch_size=8, embed_dim=32,
            decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2,
        ),
        head=dict(
            type='mmpretrain.MAEPretrainHead', patch_size=8,
            loss=dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2'),
        ),
    ),
}  # fmt: skip
STOCK = dict(type='mmpretrain.VisionTransformer', **SIZE)
WINDOWED = dict(type='symmim_mm.WindowedViT', window_size=4, global_blocks=(1, 3), **SIZE)


@pytest.fixture(params=PRETRAININGS)
def pretrained(request: pytest.FixtureRequest, tmp_path: Path):
    """A pre-training model with weights away from their start, and its checkpoint file."""
    init_default_scope('mmpretrain')
    model = MODELS.build(PRETRAININGS[request.param])
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


def test_init_cfg_of_mmengine_takes_the_file_as_well(pretrained) -> None:
    model, file = pretrained
    init_cfg = dict(type='Pretrained', checkpoint=str(file), prefix='backbone.')
    backbone = MODELS.build(dict(STOCK, out_type='raw', init_cfg=init_cfg))
    backbone.init_weights()
    backbone.eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images)[0], model.extract_feat(images)[0])
