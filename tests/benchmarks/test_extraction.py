"""The benchmark of frozen features, small: all three encode all images."""

from argparse import Namespace
from pathlib import Path

import cv2
import pytest

from benchmarks import extraction
from symmim_mm.datasets.sample.layouts import image_rng
from symmim_mm.datasets.sample.scenes import draw_scene
from symmim_mm.utils.errors import UserError


def arguments(folder: Path, images: int) -> Namespace:
    options = dict(size='ti', repeats=1, amp=False, batch=[2, 3], workers=0)
    return Namespace(data=str(folder), images=images, **options)


def test_too_few_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='has 0 JPEGs, --images 2 wanted'):
        extraction.run(arguments(tmp_path, 2))


@pytest.mark.slow
def test_all_cases(tmp_path: Path) -> None:
    for index, suffix in enumerate(('jpg', 'JPG', 'jpeg')):
        scene = draw_scene(image_rng(0, 'coco', 0, index), 120)
        (tmp_path / str(index)).mkdir()
        cv2.imwrite(str(tmp_path / f'{index}/same.{suffix}'), scene.image)
    result = extraction.run(arguments(tmp_path, 3))
    assert list(result['encoding']) == ['timm', 'MMPretrain', 'ours', 'ours, batch 3']
    for part in ('loading', 'encoding'):
        for case in result[part].values():
            assert [sample['amount'] for sample in case['samples']] == [3]
    assert '| ours, batch 3 | ' in extraction.tables(result)['rates']
