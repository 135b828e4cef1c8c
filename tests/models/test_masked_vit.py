"""MaskedViT: the stock ViT without a mask, and exactly what a mask says with one."""

import numpy as np
import pytest
import torch
from mmpretrain.models import VisionTransformer
from tiny_models import TINY

from symmim_mm.models import MaskedViT
from symmim_mm.models.backbones.masked_vit import sincos_position_embedding
from symmim_mm.models.masks import random_mask
from symmim_mm.utils.errors import UserError


def build(encoding: str = 'dense', **kwargs) -> MaskedViT:
    model = MaskedViT(arch=TINY, img_size=32, patch_size=8, encoding=encoding, **kwargs)
    model.init_weights()
    model.double().eval()  # eval() of MMPretrain's backbones returns None
    return model


def test_without_a_mask_it_is_the_stock_vit() -> None:
    ours = build()
    stock = VisionTransformer(arch=TINY, img_size=32, patch_size=8, out_type='raw').double()
    state = ours.state_dict()
    assert set(state) - set(stock.state_dict()) == {'mask_token'}
    stock.load_state_dict({k: v for k, v in state.items() if k != 'mask_token'})
    images = torch.randn(2, 3, 32, 32, dtype=torch.double)
    assert torch.equal(ours(images)[0], stock(images)[0])


def test_empty_mask_changes_nothing() -> None:
    images = torch.randn(2, 3, 32, 32, dtype=torch.double)
    nothing = torch.zeros(2, 4, 4, dtype=torch.bool)
    for encoding in ('dense', 'sparse'):
        model = build(encoding)
        tokens, _ = model(images, nothing, 16)
        torch.testing.assert_close(tokens, model(images)[0])


@pytest.mark.parametrize('encoding', ['dense', 'sparse'])
def test_masked_pixels_are_not_seen(encoding: str) -> None:
    model = build(encoding)
    mask = random_mask((4, 4), 0.5, 2)
    images = torch.randn(2, 3, 32, 32, dtype=torch.double)
    hidden = mask.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None]
    other = torch.where(hidden, torch.randn_like(images), images)
    assert torch.equal(model(images, mask, 8)[0], model(other, mask, 8)[0])
    changed = torch.where(hidden, images, images + 1)
    assert not torch.allclose(model(images, mask, 8)[0], model(changed, mask, 8)[0])


def test_sparse_encodes_the_visible_patches_in_order() -> None:
    model = build('sparse')
    mask = random_mask((4, 4), 0.75, 3)
    tokens, indices = model(torch.randn(3, 3, 32, 32, dtype=torch.double), mask, 4)
    assert tokens.shape == (3, 1 + 4, 32)
    assert indices.tolist() == [(~m).flatten().nonzero().flatten().tolist() for m in mask]


def test_position_embedding_is_fixed_unless_asked() -> None:
    assert not build().pos_embed.requires_grad
    assert build(learnable_pos_embed=True).pos_embed.requires_grad


def test_position_table_is_maes() -> None:
    """Golden: MAE's util/pos_embed.py recomputed for one patch by hand.

    Patch (row 2, column 3), 8 channels: sin and cos of column * w, then of row * w, with
    w = 1 / 10000 ** (0 / 2) and 1 / 10000 ** (1 / 2) = 0.01.
    """
    table = sincos_position_embedding((4, 5), 8)
    expected = np.concatenate(
        [np.sin([3, 0.03]), np.cos([3, 0.03]), np.sin([2, 0.02]), np.cos([2, 0.02])]
    )
    np.testing.assert_allclose(table[0, 1 + 2 * 5 + 3].numpy(), expected, rtol=1e-6)
    assert not table[0, 0].any()


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        (dict(img_size=100, patch_size=16), 'use 96 or 112'),
        (dict(img_size=32, patch_size=8, encoding='both'), 'encoding must be one of'),
        (dict(img_size=(32, 30), patch_size=8), 'image size 30'),
    ],
)
def test_bad_settings_are_one_clear_line(kwargs: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        MaskedViT(arch=TINY, **kwargs)
