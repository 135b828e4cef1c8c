"""What is written on drawn instances."""

import numpy as np
import pytest

from symmim_mm.visualization.images import MOST_TEXTS, draw_instances


def written(count: int, side: int, classes: tuple[str, ...], scores: bool) -> int:
    """Black pixels, which only letters have, on a gray image with instances of ``side`` pixels."""
    image = np.full((400, 400, 3), 90, np.uint8)
    corners = np.array([(20 + 36 * (n % 10), 40 + 60 * (n // 10)) for n in range(count)], float)
    boxes = np.concatenate([corners, corners + side], axis=1)
    drawn = draw_instances(
        image, boxes, np.zeros(count, int), None, classes, np.full(count, 0.5) if scores else None
    )
    return int((drawn.max(axis=2) < 40).sum())


@pytest.mark.parametrize('scores', [False, True])
def test_texts_leave_small_objects_visible(scores: bool) -> None:
    assert written(MOST_TEXTS, 20, ('cell', 'dust'), scores) > 100
    assert written(MOST_TEXTS + 1, 20, ('cell', 'dust'), scores) == 0
    assert written(MOST_TEXTS + 1, 90, ('cell', 'dust'), scores) > 100


def test_the_name_of_the_only_class_is_not_written() -> None:
    assert written(2, 90, ('cell',), scores=False) == 0
    assert written(2, 90, ('cell',), scores=True) > 20
