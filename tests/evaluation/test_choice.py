"""Settings chosen on held-out training images, never on test images."""

import pytest
import torch

from symmim_mm.evaluation.choice import check_settings, judge, split_held_out
from symmim_mm.evaluation.knn import classify_knn
from symmim_mm.utils.errors import UserError


def test_a_share_of_every_class_is_held_out() -> None:
    labels = torch.tensor([0] * 20 + [1] * 10 + [0] * 20)
    fit, held = split_held_out(labels, 0.1)
    assert labels[held].bincount().tolist() == [4, 1]
    assert sorted([*fit.tolist(), *held.tolist()]) == list(range(50))


def test_a_class_too_small_to_hold_out() -> None:
    with pytest.raises(UserError, match='none of the 5 images of class 1'):
        split_held_out(torch.tensor([0] * 20 + [1] * 5), 0.1)


def noisy() -> tuple[torch.Tensor, torch.Tensor]:
    """Two clusters; every fifth label is wrong, so that one neighbor is a bad guide."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 2
    features = torch.randn(400, 2, generator=generator) * 0.3
    features[:, 0] += 1.0
    features[:, 1] += labels * 2.0 - 1.0
    wrong = torch.rand(400, generator=generator) < 0.2
    return features, labels ^ wrong.long()


def test_the_best_on_held_out_images_is_chosen() -> None:
    features, labels = noisy()
    for ks in ([1, 25], [25, 1]):
        grid = dict(k=ks, temperature=[0.07])
        found = judge(classify_knn, grid, 0.25, features, labels, features, labels, 2)
        assert (found['chosen_k'], found['chosen_temperature']) == (25, 0.07)
        assert found.keys() >= {'top1_k=1_temperature=0.07', 'top1_k=25_temperature=0.07'}


def test_test_images_choose_nothing() -> None:
    """On these test images one neighbor is better; the choice stays with the training images."""
    features, labels = noisy()
    found = judge(classify_knn, dict(k=[1, 25]), 0.25, features, labels, features, labels, 2)
    assert found['chosen_k'] == 25
    assert found['top1_k=1'] > 95.0  # each image is its own neighbor
    assert found['top1'] == found['top1_k=25'] < 90.0


def test_without_a_grid_there_is_one_accuracy() -> None:
    features, labels = noisy()
    assert set(judge(classify_knn, {}, 0.1, features, labels, features, labels, 2)) == {'top1'}


@pytest.mark.parametrize(
    ('settings', 'grid', 'held_out', 'words'),
    [
        ({}, dict(k=20), 0.1, 'grid must map'),
        ({}, dict(k=[]), 0.1, 'grid must map'),
        ({}, [1], 0.1, 'grid must map'),
        ({}, dict(k=['a']), 0.1, "k must be int, got 'a'"),
        ({}, dict(k=[5, 10.0]), 0.1, 'k must be int, got 10.0'),
        (dict(temperature='x'), {}, 0.1, "temperature must be float, got 'x'"),
        (dict(neighbors=5), {}, 0.1, 'neighbors is no setting: take k, temperature, chunk'),
        ({}, dict(classes=[5]), 0.1, 'classes is no setting'),
        ({}, {}, 0.0, 'held_out must be a share'),
        ({}, {}, 0.9, 'held_out must be a share'),
        ({}, {}, 'x', 'held_out must be a share'),
    ],
)
def test_mistakes(settings: dict, grid: object, held_out: object, words: str) -> None:
    check_settings(classify_knn, dict(k=5), dict(temperature=[0.1, 1]), 0.1)
    with pytest.raises(UserError, match=words):
        check_settings(classify_knn, settings, grid, held_out)
