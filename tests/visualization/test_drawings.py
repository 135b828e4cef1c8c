"""What is written on drawn instances, and which channels of an image are shown."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from PIL import Image
from tiny_models import tiny_config

from symmim_mm.visualization import images as vis
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


@pytest.mark.parametrize('name', [b'a.png', b'caf\xe9.png'])
def test_images_are_written_under_any_name(name: bytes, tmp_path: Path) -> None:
    """OpenCV ends the process at a name that is a text and not UTF-8."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b'/' + name))
    for image in (
        np.arange(12, dtype=np.uint8).reshape(3, 4),
        np.eye(6, dtype=np.uint8).reshape(3, 4, 3),
    ):
        vis.save(path, image)
        assert np.array_equal(np.asarray(Image.open(path)), image)


@pytest.mark.parametrize(('channels', 'kept'), [(1, [0, 0, 0]), (2, [0, 0, 0]), (5, [0, 1, 2])])
def test_other_channels_are_shown_as_gray_or_by_the_first_three(channels: int, kept) -> None:
    image = torch.rand(channels, 4, 6) * 300 - 20
    expected = image[kept].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    assert np.array_equal(vis.to_rgb(image), expected)


@pytest.mark.parametrize('channels', [1, 5])
def test_reconstructions_of_other_channels(channels: int) -> None:
    config = tiny_config('simmim', patch_cfg=dict(in_channels=channels))
    model = MODELS.build(config | dict(data_preprocessor=dict(mean=[90.0] * channels,
                                                              std=[50.0] * channels)))  # fmt: skip
    inputs = torch.rand(1, channels, 32, 32) * 255
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 1, 2] = True
    original, masked, filled = vis.reconstruction_panels(model, inputs, mask)[0]
    assert np.array_equal(original, vis.to_rgb(inputs[0]))
    hidden = mask[0].numpy().repeat(8, 0).repeat(8, 1)
    assert (masked[hidden] == vis.GRAY).all()
    for panel in (masked, filled):
        assert np.array_equal(panel[~hidden], original[~hidden])
