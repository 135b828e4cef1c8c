"""WindowedViT: the stock ViT's parameters, full attention where one window covers the picture."""

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import VisionTransformer
from torch import nn

from symmim_mm.models.windowed_vit import WindowedViT, resolve_global_blocks, window_attention
from symmim_mm.utils.errors import UserError

ARCH = dict(embed_dims=32, num_layers=3, num_heads=4, feedforward_channels=64)
COMMON = dict(arch=ARCH, img_size=64, patch_size=8, out_type='featmap', out_indices=(0, 2))


def make_pair(**windowed) -> tuple[VisionTransformer, WindowedViT]:
    torch.manual_seed(0)
    stock = VisionTransformer(**COMMON)
    stock.init_weights()
    with torch.no_grad():
        for param in stock.parameters():  # biases and norms start at constants: move them
            param.add_(0.1 * torch.randn_like(param))
    ours = WindowedViT(**COMMON, **{'global_blocks': 1, **windowed})
    ours.load_state_dict(stock.state_dict())
    stock.eval()  # which returns nothing
    ours.eval()
    return stock.double(), ours.double()


def slow_window_attention(attn: nn.Module, x: torch.Tensor, grid, window: int) -> torch.Tensor:
    """Window by window with the stock module: pad, attend, average the class token."""
    height, width = grid
    window_h, window_w = min(window, height), min(window, width)
    patches = x[:, 1:].reshape(len(x), height, width, -1)
    padded = F.pad(patches, (0, 0, 0, -width % window_w, 0, -height % window_h))
    out = torch.zeros_like(padded)
    class_tokens = []
    for top in range(0, padded.shape[1], window_h):
        for left in range(0, padded.shape[2], window_w):
            box = (slice(None), slice(top, top + window_h), slice(left, left + window_w))
            tokens = torch.cat((x[:, :1], padded[box].flatten(1, 2)), dim=1)
            result = attn(tokens)
            class_tokens.append(result[:, 0])
            out[box] = result[:, 1:].reshape(len(x), window_h, window_w, -1)
    class_token = torch.stack(class_tokens).mean(dim=0)
    return torch.cat((class_token[:, None], out[:, :height, :width].flatten(1, 2)), dim=1)


@pytest.mark.parametrize('blocks', [dict(window_size=16, global_blocks=0),
                                    dict(window_size=2, global_blocks='all')])  # fmt: skip
@pytest.mark.parametrize('size', [(64, 64), (40, 72), (24, 16)])
def test_one_window_over_the_image_and_global_blocks_are_full_attention(size, blocks):
    stock, ours = make_pair(**blocks)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    for expected, got in zip(stock(images), ours(images), strict=True):
        assert got.shape == (2, 32, size[0] // 8, size[1] // 8)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_windows_change_the_result():
    stock, ours = make_pair(window_size=4, global_blocks=1)
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    assert (stock(images)[-1] - ours(images)[-1]).abs().max() > 1e-3


@pytest.mark.parametrize('grid', [(8, 8), (7, 10), (3, 9), (5, 2), (32, 16)])
def test_windows_and_padding_equal_the_slow_way(grid):
    _, ours = make_pair(window_size=4)
    attn = ours.layers[0].attn
    x = torch.randn(2, 1 + grid[0] * grid[1], 32, dtype=torch.float64)
    torch.testing.assert_close(
        window_attention(attn, x, grid, 4), slow_window_attention(attn, x, grid, 4),
        rtol=0, atol=1e-12,
    )  # fmt: skip


def test_patches_see_their_window_and_nothing_else():
    _, ours = make_pair(window_size=4)
    x = torch.randn(1, 1 + 64, 32, dtype=torch.float64, requires_grad=True)
    out = window_attention(ours.layers[0].attn, x, (8, 8), 4)
    out[0, 1 + 8 * 1 + 6].sum().backward()  # row 1, column 6: the window at the upper right
    seen = x.grad[0].abs().sum(dim=-1) > 0
    assert seen[0]
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[:4, 4:] = True
    assert torch.equal(seen[1:].reshape(8, 8), expected)


def test_stochastic_depth_drops_whole_pictures():
    torch.manual_seed(0)
    model = WindowedViT(**COMMON, window_size=4, global_blocks=0, drop_path_rate=0.5)
    attn = model.layers[2].attn.train()
    assert attn.out_drop.drop_prob == 0.5
    x = torch.randn(64, 1 + 64, 32)
    out = window_attention(attn, x, (8, 8), 4)
    kept = window_attention(attn.eval(), x, (8, 8), 4)
    dropped = (out == 0).flatten(1).all(dim=1)
    assert 10 < dropped.sum() < 54  # binomial(64, 1/2): outside with probability 1e-8
    assert not (out[~dropped] == 0).flatten(1).any()
    torch.testing.assert_close(out[~dropped], 2 * kept[~dropped])


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    model = WindowedViT(**COMMON, window_size=4, global_blocks=(1,), drop_path_rate=0.2)
    model.train()
    sum(out.square().mean() for out in model(torch.randn(2, 3, 72, 56))).backward()
    for name, param in model.named_parameters():
        assert param.grad is not None and param.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ('blocks', 'layers', 'expected'),
    [
        (4, 12, (2, 5, 8, 11)),
        (4, 24, (5, 11, 17, 23)),
        (4, 6, (0, 2, 3, 5)),
        (0, 12, ()),
        ('all', 3, (0, 1, 2)),
        ([5, 2, 2], 6, (2, 5)),
    ],
)
def test_global_blocks(blocks, layers, expected):
    assert resolve_global_blocks(blocks, layers) == expected


@pytest.mark.parametrize('blocks', [13, -1, (12,), (-1,), 'some'])
def test_wrong_global_blocks_are_refused(blocks):
    with pytest.raises(UserError, match='global_blocks'):
        resolve_global_blocks(blocks, 12)


def test_only_windowed_blocks_change_their_class_and_nothing_else():
    _, ours = make_pair(window_size=4, global_blocks=(1,))
    kinds = [type(layer).__name__ for layer in ours.layers]
    assert kinds == ['WindowedLayer', 'TransformerEncoderLayer', 'WindowedLayer']
    torch.manual_seed(3)
    first = WindowedViT(**COMMON, window_size=4, global_blocks=1)
    torch.manual_seed(3)
    second = VisionTransformer(**COMMON)
    assert list(first.state_dict()) == list(second.state_dict())
    assert [n for n, _ in first.named_parameters()] == [n for n, _ in second.named_parameters()]
    for name, value in second.state_dict().items():
        assert torch.equal(first.state_dict()[name], value), name


def test_wrong_window_is_refused():
    with pytest.raises(UserError, match='window_size'):
        WindowedViT(**COMMON, global_blocks=1, window_size=0)
