"""k-NN and the linear classifier on features whose answer is known."""

import math

import numpy as np
import pytest
import torch

from symmim_mm.evaluation.knn import classify_knn
from symmim_mm.evaluation.linear import classify_linear
from symmim_mm.utils.errors import UserError


def test_knn_votes_with_exponential_weights() -> None:
    """Two far neighbors of class 0 against one near of class 1, weights worked out by hand."""
    angles = [0.0, 0.5, -0.5, 3.0]
    train = torch.tensor([[math.cos(a), math.sin(a)] for a in angles])
    labels = torch.tensor([1, 0, 0, 0])
    test = torch.tensor([[2.0, 0.0]])  # length does not matter
    near, far = math.exp(1 / 0.07), 2 * math.exp(math.cos(0.5) / 0.07)
    assert near > far
    assert classify_knn(train, labels, test, 2, k=3).tolist() == [1]
    near, far = math.exp(1 / 1.0), 2 * math.exp(math.cos(0.5) / 1.0)
    assert near < far
    assert classify_knn(train, labels, test, 2, k=3, temperature=1.0).tolist() == [0]
    assert classify_knn(train, labels, test, 2, k=1, temperature=1.0).tolist() == [1]


def test_knn_of_a_low_temperature_is_that_of_the_nearest() -> None:
    """exp(1 / 0.01) is beyond float32: two infinite votes would be equal."""
    train, labels = torch.tensor([[1.0, 0.0], [1.0, 0.1]]), torch.tensor([1, 0])
    assert classify_knn(train, labels, train, 2, k=2, temperature=0.01).tolist() == [1, 0]


def test_knn_does_not_depend_on_the_chunk() -> None:
    train, test = torch.randn(60, 8), torch.randn(33, 8)
    labels = torch.randint(0, 5, (60,))
    whole = classify_knn(train, labels, test, 5, k=7)
    assert torch.equal(whole, classify_knn(train, labels, test, 5, k=7, chunk=4))


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        (dict(k=0), 'between 1 and the 60'),
        (dict(k=61), 'between 1 and the 60'),
        (dict(temperature=0), 'temperature must be above 0'),
    ],
)
def test_knn_refuses_settings_out_of_range(settings: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        classify_knn(torch.randn(60, 8), torch.zeros(60).long(), torch.randn(1, 8), 2, **settings)


def test_linear_separates_what_a_plane_separates() -> None:
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(400, 6))).float()
    labels = (features @ torch.tensor([1.0, -2, 0, 0, 3, 0]) > 0.5).long()
    # Scale and offset of single features must not matter.
    moved = features * torch.tensor([1, 1e3, 1, 1e-3, 1, 1]) + 50
    guess = classify_linear(moved[:300], labels[:300], moved[300:], 2)
    assert (guess == labels[300:]).float().mean() > 0.97


def test_linear_survives_a_constant_feature() -> None:
    features = torch.randn(50, 3)
    features[:, 1] = 4.0
    labels = (features[:, 0] > 0).long()
    guess = classify_linear(features, labels, features, 2)
    assert (guess == labels).float().mean() > 0.9
