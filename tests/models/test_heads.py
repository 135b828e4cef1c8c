"""Pixel head and contrast head against values worked out from the formulas in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import MODELS
from tiny_models import tiny_config

from symmim_mm.models import ContrastHead, PixelHead
from symmim_mm.models.contrast_head import KeyMemory, info_nce, pool
from symmim_mm.models.pixel_head import patchify, unpatchify
from symmim_mm.utils.errors import UserError


def test_patchify_keeps_rows_columns_and_channels_last() -> None:
    images = torch.arange(2 * 3 * 4 * 6, dtype=torch.double).reshape(2, 3, 4, 6)
    patches = patchify(images, 2)
    assert patches.shape == (2, 6, 12)
    # Patch 4 is row 1, column 1; its pixels in reading order, colors together.
    expected = [images[0, c, 2 + y, 2 + x] for y in (0, 1) for x in (0, 1) for c in range(3)]
    assert patches[0, 4].tolist() == [float(value) for value in expected]
    assert torch.equal(unpatchify(patches, (2, 3), 2), images)


@pytest.mark.parametrize('kind', ['l1', 'l2'])
@pytest.mark.parametrize('norm_pix', [False, True])
def test_pixel_loss_is_its_formula(kind: str, norm_pix: bool) -> None:
    """Mean over masked patches of the mean error of their pixels, in NumPy float64."""
    torch.manual_seed(3)
    head = PixelHead(8, (2, 3), patch_size=2, loss=kind, norm_pix=norm_pix)
    images = torch.randn(2, 3, 4, 6)
    prediction = torch.randn(2, 6, 12)
    mask = torch.tensor([[[1, 0, 0], [1, 1, 0]], [[0, 0, 1], [0, 0, 0]]]).bool()

    target = patchify(images, 2).double().numpy()
    if norm_pix:
        mean = target.mean(-1, keepdims=True)
        target = (target - mean) / np.sqrt(target.var(-1, ddof=1, keepdims=True) + 1e-6)
    error = prediction.double().numpy() - target
    error = np.abs(error) if kind == 'l1' else error**2
    expected = error[mask.flatten(1).numpy()].mean()
    assert head.loss(prediction, images, mask).item() == pytest.approx(expected, rel=1e-6)


@given(micro_batch=st.integers(2, 5), accumulation=st.integers(1, 4), seed=st.integers(0, 99))
def test_memory_gives_every_micro_batch_the_negatives_of_a_whole_batch(
    micro_batch: int, accumulation: int, seed: int
) -> None:
    """From the second step on, each loss is that of the last ``accumulation`` micro-batches."""
    generator = torch.Generator().manual_seed(seed)
    size = (accumulation - 1) * micro_batch
    memory = KeyMemory(size, dims=3) if size else None
    history: list[torch.Tensor] = []
    for _ in range(2 * accumulation + 1):
        query, key = (torch.randn(micro_batch, 3, generator=generator) for _ in range(2))
        history.insert(0, F.normalize(key, dim=1))
        keys = torch.cat(history[:accumulation])  # fewer at the start
        logits = F.normalize(query, dim=1) @ keys.T / 0.2
        expected = F.cross_entropy(logits, torch.arange(micro_batch)) * 0.4
        torch.testing.assert_close(info_nce(query, key, 0.2, memory), expected)
    assert len(keys) == micro_batch * accumulation


def test_memory_forgets_keys_that_are_not_finite() -> None:
    """The micro-batch is skipped; those after it are not to be."""
    memory = KeyMemory(4, dims=3)
    bad = torch.randn(2, 3)
    bad[1] = torch.nan
    assert info_nce(torch.randn(2, 3), bad, 0.2, memory).isnan()
    assert memory.keys.isfinite().all() and memory.keys.any(dim=1).tolist()[:2] == [True, False]
    assert info_nce(torch.randn(2, 3), torch.randn(2, 3), 0.2, memory).isfinite()


def test_memory_leaves_the_backward_pass_its_keys() -> None:
    memory = KeyMemory(4, dims=3)
    query = torch.randn(2, 3, requires_grad=True)
    for _ in range(3):
        loss = info_nce(query, torch.randn(2, 3), 0.2, memory)
    memory.push(torch.randn(4, 3))
    loss.backward()
    assert query.grad.any() and not memory.keys.requires_grad


def test_layer_norm_sees_one_image_at_a_time() -> None:
    head = ContrastHead(8, 16, 4, norm='ln')
    assert not any(isinstance(m, torch.nn.BatchNorm1d) for m in head.modules())
    assert head.projector[-1].weight is None  # as the last BatchNorm
    tokens = torch.randn(6, 5, 8)
    parts = torch.cat([head(part, None, None) for part in tokens.chunk(3)])
    torch.testing.assert_close(parts, head(tokens, None, None))


def test_info_nce_gives_the_key_no_gradient() -> None:
    query = torch.randn(3, 4, requires_grad=True)
    key = torch.randn(3, 4, requires_grad=True)
    info_nce(query, key, 0.2).backward()
    assert key.grad is None
    assert query.grad.abs().sum() > 0


def test_pooling() -> None:
    tokens = torch.arange(2 * 5 * 1, dtype=torch.float).reshape(2, 5, 1)
    mask = torch.tensor([[[True, False], [False, True]], [[True, True], [True, False]]])
    assert pool(tokens, 'cls_token', mask, None).flatten().tolist() == [0, 5]
    assert pool(tokens, 'patch_mean', mask, None).flatten().tolist() == [2.5, 7.5]
    assert pool(tokens, 'visible_mean', mask, None).flatten().tolist() == [2.5, 9.0]


def test_head_sizes_are_moco_v3s() -> None:
    head = ContrastHead(768)
    linear = [m for m in head.projector if isinstance(m, torch.nn.Linear)]
    assert [tuple(m.weight.shape) for m in linear] == [(4096, 768), (4096, 4096), (256, 4096)]
    linear = [m for m in head.predictor if isinstance(m, torch.nn.Linear)]
    assert [tuple(m.weight.shape) for m in linear] == [(4096, 256), (256, 4096)]
    assert all(m.bias is None for m in linear)
    assert head.projector[-1].weight is None  # the last BatchNorm has no scale


@pytest.mark.parametrize('kwargs', [dict(pooling='max'), dict(norm='gn'), dict(temperature=0.0)])
def test_bad_settings_are_refused(kwargs: dict) -> None:
    with pytest.raises(UserError):
        ContrastHead(8, 8, 8, **kwargs)


@pytest.mark.parametrize('method', ['symmim', 'simmim'])
def test_the_head_predicts_the_channels_of_the_backbone(method: str) -> None:
    model = MODELS.build(tiny_config(method, patch_cfg=dict(in_channels=5)))
    images = torch.randn(2, 5, 32, 32)
    mask, prediction = model.reconstruct(images)
    assert prediction.shape == (2, 16, 8 * 8 * 5)
    assert torch.isfinite(sum(model.loss(images).values()))
