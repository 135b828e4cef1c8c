"""Split attention is MMPretrain's, bit for bit."""

import copy

import pytest
import torch
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from tiny_models import TINY
from torch import nn

from symmim_mm.models.masked_vit import MaskedViT
from symmim_mm.models.pixel_head import PixelDecoder
from symmim_mm.models.split_attention import SplitAttention, split_attention


@pytest.mark.parametrize('tokens', [1, 7, 33])
@pytest.mark.parametrize('drop', [0.0, 0.3])
def test_same_results_and_gradients(tokens: int, drop: float) -> None:
    stock = TransformerEncoderLayer(32, 4, 64, drop_rate=drop, attn_drop_rate=drop).train()
    ours = copy.deepcopy(stock)
    split_attention(nn.ModuleList([ours]))
    assert type(ours.attn) is SplitAttention
    found = []
    for block in (stock, ours):
        x = torch.randn(2, tokens, 32, generator=torch.Generator().manual_seed(1))
        x.requires_grad_()
        torch.manual_seed(2)
        result = block(x)
        result.square().sum().backward()
        found.append([result, x.grad, *(p.grad for p in block.parameters())])
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*found, strict=True))
    assert list(ours.state_dict()) == list(stock.state_dict())


def test_who_has_it(mmpretrain_scope) -> None:
    vit = MaskedViT(arch=TINY, img_size=32, patch_size=16)
    decoder = PixelDecoder(32, (2, 2), depth=2, embed_dims=32, num_heads=4)
    for block in [*vit.layers, *decoder.blocks, *copy.deepcopy(vit).layers]:
        assert type(block.attn) is SplitAttention
