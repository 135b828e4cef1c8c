"""Split attention is MMPretrain's, bit for bit."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from tiny_models import TINY
from torch import nn

from symmim_mm.models.backbones.masked_vit import MaskedViT
from symmim_mm.models.backbones.split_attention import (
    MATMUL_TOKENS,
    SplitAttention,
    matmul_attention,
    split_attention,
    use_matmul_attention,
)
from symmim_mm.models.pixel_head import PixelDecoder


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


@pytest.mark.parametrize('tokens', [1, 50, MATMUL_TOKENS, MATMUL_TOKENS + 1])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('masked', [False, True])
def test_matmul_attention_is_attention(tokens: int, dtype: torch.dtype, masked: bool) -> None:
    """In bf16 as close to float64 as the fused kernel, within a factor; in float32 the same."""
    torch.manual_seed(0)
    exact = [torch.randn(2, 3, tokens, 16, dtype=torch.float64) for _ in range(4)]
    mask = torch.randn(2, 3, tokens, tokens).div(4).to(dtype) if masked else None
    found = {}
    for attend in (F.scaled_dot_product_attention, matmul_attention):
        for kind in (torch.float64, dtype):
            parts = [part.to(dtype).to(kind).requires_grad_() for part in exact[:3]]
            result = attend(*parts, attn_mask=mask.to(kind) if masked else None)
            result.backward(exact[3].to(kind))
            found[attend, kind] = [result, *(part.grad for part in parts)]
    truth = found[F.scaled_dot_product_attention, torch.float64]
    fused, ours = found[F.scaled_dot_product_attention, dtype], found[matmul_attention, dtype]
    for right, theirs, mine in zip(truth, fused, ours, strict=True):
        if dtype == torch.float32:
            assert torch.equal(mine, theirs)
        assert (mine - right).norm() <= 3 * (theirs - right).norm() + 1e-3 * right.norm()


def test_matmul_attention_drops_weights() -> None:
    parts = [torch.randn(1, 1, 400, 8, dtype=torch.bfloat16) for _ in range(2)]
    value = torch.ones(1, 1, 400, 8, dtype=torch.bfloat16)
    kept = matmul_attention(parts[0].requires_grad_(), parts[1], value, dropout_p=0.5)
    assert kept.mean().item() == pytest.approx(1, abs=0.05)  # scaled up by what is dropped
    assert kept.std() > 0.02
    assert not matmul_attention(*parts, value, dropout_p=1.0).any()


def test_mixed_precision_on_a_cpu_uses_it() -> None:
    vit = MaskedViT(arch=TINY, img_size=32, patch_size=16)
    use_matmul_attention(vit)
    assert all(block.attn.scaled_dot_product_attention is matmul_attention for block in vit.layers)
    assert copy.deepcopy(vit).layers[0].attn.scaled_dot_product_attention is matmul_attention
