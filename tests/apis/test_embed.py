"""Drawings of what a pre-training made of its images."""

import numpy as np
import pytest
import torch

from symmim_mm.apis.embed import accuracies, find_duplicates
from symmim_mm.visualization import embeddings as drawn

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(9)]


def test_duplicates_are_found_once() -> None:
    """A copy that is brighter or smaller counts, and each image once, however many copies."""
    bright = (IMAGES[2] // 2 + 100).astype(np.uint8)
    images = [*IMAGES, bright, IMAGES[2][::2, ::2].repeat(2, 0).repeat(2, 1), bright]
    assert [pair for pair in find_duplicates(images) if pair[1] != 10] == [(2, 9), (2, 11)]
    assert find_duplicates(IMAGES) == []


@pytest.mark.parametrize(('count', 'method'), [(1, 'pca'), (9, 'pca'), (9, 'tsne')])
def test_the_map_shows_every_image_of_a_few(count: int, method: str) -> None:
    if method == 'tsne':
        pytest.importorskip('openTSNE', reason='the extra tsne is not installed')
    colors = [np.full((8, 8, 3), 7 * n, np.uint8) for n in range(count)]
    shown = drawn.draw_map(torch.randn(count, 5), colors, method)
    assert shown.shape == (drawn.MAP_HEIGHT, drawn.MAP_WIDTH, 3)
    assert len(np.unique(shown)) == count + 1  # and white


def test_neighbors_and_pairs() -> None:
    """The nearest by cosine stand next to an image, first of all those of the same direction."""
    colors = [np.full((8, 8, 3), 20 * n, np.uint8) for n in range(9)]
    angles = torch.arange(9) * 0.1
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    shown = drawn.draw_neighbors({'trained': features}, colors, [0, 8])
    rows = shown[24 + drawn.THUMBNAIL // 2 :: drawn.THUMBNAIL, :, 0]
    expected = [[20 * n for n in row] for row in ([0, 1, 2, 3, 4, 5], [8, 7, 6, 5, 4, 3])]
    for row, values in zip(rows, expected, strict=True):
        seen = row[np.append(row[1:] != row[:-1], True) & (row != 255)]
        assert seen.tolist() == values
    assert drawn.draw_pairs([(0, 1)], colors).shape == (24 + 160, 320, 3)
    assert drawn.draw_pairs([(0, 1)] * 5, colors).shape == (2 * (24 + 160), 4 * 320 + 3 * 16, 3)


def test_accuracies_where_folders_may_be_classes() -> None:
    """XOR: each image has neighbors of its class, and no line parts the two."""
    paths = [f'{"ab"[number // 2 % 2]}/{number}.png' for number in range(80)]
    corners = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    xor = corners[[number // 2 % 2 * 2 + number // 4 % 2 for number in range(80)]]
    line = torch.tensor([[1.0, 0.2 * (number % 5)] for number in range(80)])
    line[:, 0] *= torch.tensor([1.0 - 2 * (number // 2 % 2) for number in range(80)])
    by_neighbors, by_line = accuracies(dict(trained=xor, random=line), paths)
    assert by_neighbors == (
        'if the 2 folders are classes: k-NN is right on 100.0 % (trained), 100.0 % (random) of '
        '40 images'
    )
    assert 'a linear classifier is right on 50.0 % (trained), 100.0 % (random) of 40' in by_line
    assert list(accuracies(dict(trained=xor), [*paths[:-1], 'loose.png'])) == []
    assert list(accuracies(dict(trained=xor), ['a/0.png'] * 80)) == []
