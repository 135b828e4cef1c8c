"""Health figures: values known from their formulas, and a model that is left as it was."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import MODELS
from tiny_models import tiny_config

from symmim_mm.models.health import (
    contrast_figures,
    effective_rank,
    feature_std,
    measure_health,
)

PREPROCESSOR = dict(mean=[120.0] * 3, std=[60.0] * 3)


@given(rank=st.integers(1, 6), count=st.integers(6, 20), seed=st.integers(0, 99))
def test_effective_rank_of_equal_directions_is_their_number(
    rank: int, count: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(count, rank, generator=generator).double())[0]
    right = torch.linalg.qr(torch.randn(8, rank, generator=generator).double())[0]
    assert effective_rank(3 * left @ right.T) == pytest.approx(rank, rel=1e-6)


def test_spread_is_0_where_collapsed_and_1_where_uniform() -> None:
    assert feature_std(torch.ones(50, 8)) == pytest.approx(0, abs=1e-12)
    directions = torch.randn(20_000, 16, generator=torch.Generator().manual_seed(0))
    assert feature_std(directions) == pytest.approx(1, rel=0.01)
    assert feature_std(7 * directions) == pytest.approx(feature_std(directions), rel=1e-12)


def test_contrast_of_known_vectors() -> None:
    key = torch.eye(4)
    query = torch.stack([key[0], key[1], key[2], key[0]])  # the last is nearest to another's
    found = contrast_figures(query, key)
    assert found == pytest.approx(dict(accuracy=75, positive=0.75, negative=1 / 12))


def images() -> dict:
    generator = torch.Generator().manual_seed(3)
    return dict(
        inputs=torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8, generator=generator)
    )


def build(method: str, **changes) -> torch.nn.Module:
    torch.manual_seed(0)
    kind = dict(type='symmim_mm.ViewPreprocessor') if method == 'mae' else {}
    kind |= dict(views='distorted') if method == 'symmim' else {}
    preprocessor = PREPROCESSOR | kind
    model = MODELS.build(tiny_config(method) | dict(data_preprocessor=preprocessor) | changes)
    model.init_weights()
    return model.train()


@pytest.mark.parametrize('method', ['symmim', 'simmim', 'mae'])
def test_the_model_is_left_as_it_was(method: str, mmpretrain_scope) -> None:
    model = build(method)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = {name: module.training for name, module in model.named_modules()}
    found = measure_health(model, images())
    assert {'rank', 'std'} <= found.keys() and all(map(math.isfinite, found.values()))
    assert ('gradient_ratio' in found) == ('accuracy' in found) == (method == 'symmim')
    assert modes == {name: module.training for name, module in model.named_modules()}
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_ratio_is_that_of_the_losses_gradients(mmpretrain_scope) -> None:
    """It doubles with the weight, and one loss alone has none."""
    found = []
    for weight in (0.1, 0.2):
        model = build('symmim', contrast_weight=weight)
        torch.manual_seed(4)
        found.append(measure_health(model, images()))
    assert found[1]['gradient_ratio'] == pytest.approx(2 * found[0]['gradient_ratio'], rel=1e-5)
    assert found[0]['accuracy'] == found[1]['accuracy']
    alone = measure_health(build('symmim', mim_weight=0.0), images())
    assert 'accuracy' in alone and 'gradient_ratio' not in alone


def test_features_are_the_mean_of_the_patches(mmpretrain_scope) -> None:
    model = build('simmim').eval()
    with torch.no_grad():
        inputs = model.data_preprocessor(images(), training=False)['inputs']
        tokens = model.backbone(inputs)[0][:, 1:]
    expected = F.normalize(tokens.mean(dim=1).double(), dim=1)
    std = expected.std(dim=0, correction=0).mean().item() * math.sqrt(expected.shape[1])
    assert measure_health(model, images())['std'] == pytest.approx(std, rel=1e-4)
