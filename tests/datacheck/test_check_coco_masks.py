"""Boxes and masks of COCO annotations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from symmim_mm.datacheck.coco.instances import Instances
from symmim_mm.datacheck.coco.masks import check_run_lengths, expand_run_lengths, mask_extent
from symmim_mm.datacheck.report import Report
from symmim_mm.datasets.transforms.decode import FindingError

SIZE = (64, 48)
SQUARE = [[10, 10, 20, 10, 20, 20, 10, 20]]

sides = st.integers(1, 40)
bitmaps = arrays(np.uint8, st.tuples(sides, sides), elements=st.integers(0, 1))


def check(*annotations: dict) -> dict[str, list[str]]:
    report = Report('coco', 'x')
    entries = [
        dict(id=number, image_id=1, category_id=1, area=100, iscrowd=0, segmentation=SQUARE)
        | annotation
        for number, annotation in enumerate(annotations)
    ]
    Instances('file', {1: ('a.jpg', SIZE)}, {1: 'thing'}, report).check(entries)
    return {kind: [text for _, text in found] for kind, found in report.findings.items()}


@given(bitmaps)
def test_compressed_run_lengths(bitmap: np.ndarray) -> None:
    """What pycocotools compresses is expanded to the runs that its own pixels have."""
    code = coco_mask.encode(np.asfortranarray(bitmap))
    flat = bitmap.flatten(order='F')
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])))
    lengths = np.diff(np.concatenate([[0], edges])).tolist()
    assert expand_run_lengths(code['counts'].decode()) == lengths
    height, width = bitmap.shape
    mask = {'size': [height, width], 'counts': code['counts'].decode()}
    assert mask_extent(mask, (width, height)) is None
    check_run_lengths(mask | {'counts': lengths}, (width, height))


def test_numbers_without_end() -> None:
    """A number is given up where pycocotools has no more bits for it, not at the text's end."""
    assert expand_run_lengths('P' * 11 + '1') == [1 << 55]
    assert expand_run_lengths('P' * 12 + '1') is expand_run_lengths('P' * 3_000_000) is None


@given(st.text(max_size=20))
def test_any_text_as_run_lengths(text: str) -> None:
    """Only a text whose runs cover the image passes, and pycocotools then decodes it."""
    mask = {'size': [3, 4], 'counts': text}
    try:
        check_run_lengths(mask, (4, 3))
    except FindingError as error:
        assert error.kind == 'rle'
    else:
        assert coco_mask.decode(mask).shape == (3, 4)


@pytest.mark.parametrize(
    ('mask', 'said'),
    [
        ({'size': [48, 64], 'counts': [10, 10]}, 'run lengths cover 20 of 3,072 pixels'),
        ({'size': [48, 64], 'counts': [-10, 3082]}, 'counts are not run lengths'),
        ({'size': [48, 64], 'counts': [1.5, 3070.5]}, 'counts are not run lengths'),
        ({'size': [48, 64], 'counts': ''}, 'run lengths cover 0 of 3,072 pixels'),
        ({'size': [48, 64], 'counts': 'ä'}, 'counts are not run lengths'),
        ({'size': [64, 48], 'counts': [3072]}, 'made for 48 x 64, image 64 x 48'),
        ({'size': [48, 64]}, 'run lengths need size [height, width] and counts'),
        ({'counts': [3072]}, 'run lengths need size [height, width] and counts'),
    ],
)
def test_wrong_run_lengths(mask: dict, said: str) -> None:
    assert check(dict(bbox=[10, 10, 10, 10], segmentation=mask)) == {
        'rle': [f'annotation 0 of a.jpg: {said}']
    }


@pytest.mark.parametrize(
    ('box', 'kind'),
    [
        ([0, 0, 64, 48], None),
        ([-1, -1, 66, 50], None),  # a pixel over the edge is rounding
        ([-2, 10, 30, 10], 'box-clipped'),
        ([10, 10, 30, 60], 'box-clipped'),
        ([-30, 0, 30, 20], 'box-outside'),
        ([64, 10, 5, 5], 'box-outside'),
        ([10, 60, 5, 5], 'box-outside'),
        ([20, 20, -5, 5], 'box-outside'),
        ([10, 10, 0.5, 10], 'box-small'),
        ([10, 10, 10, 0], 'box-small'),
        ([30, 30, 10, 10], 'mask-apart'),
    ],
)
def test_boxes(box: list[float], kind: str | None) -> None:
    assert list(check(dict(bbox=box))) == ([kind] if kind else [])


@pytest.mark.parametrize(
    ('mask', 'kind'),
    [
        (SQUARE, None),
        ([[1, 2, 3, 4], *SQUARE], None),
        ([], 'segmentation-empty'),
        (None, 'segmentation-empty'),
        ([[]], 'polygon-short'),
        ([[10, 10, 20, 10]], 'polygon-short'),
        ([[10, 10, 20, 10, 20, 20, 10]], 'polygon-short'),
        ([10, 10, 20, 10, 20, 20], 'json-layout'),
        ('polygon', 'json-layout'),
        ([[10, 10, 20, 10, 20, 'x']], 'json-layout'),
        ([[10, 10, 20, 10, 20, float('inf')]], 'json-layout'),
        ([[10, 10, 20, 10, 20, 10**400]], 'json-layout'),
        ([[10, 10, -1e8, 10, 20, 20]], 'json-layout'),
        ([[10, 10, 80, 10, 20, 20]], 'box-clipped'),
        ([[70, 10, 80, 10, 75, 20]], 'mask-apart'),
    ],
)
def test_masks(mask, kind: str | None) -> None:
    assert list(check(dict(bbox=[10, 10, 10, 10], segmentation=mask))) == ([kind] if kind else [])


def test_systematic_boxes() -> None:
    """Corners or fractions in place of [left, top, width, height] are seen as what they are."""
    good = [dict(bbox=[10, 10, 10, 10])] * 990
    assert check(*good, *[dict(bbox=[10, 10, 60, 10])] * 9).keys() == {'box-clipped'}
    fractions = check(*[dict(bbox=[0.1, 0.1, 0.2, 0.2], segmentation=[[0, 0, 1, 0, 1, 1]])] * 30)
    assert fractions['box-systematic'] == [
        '30 of 30; COCO boxes are [left, top, width, height] in pixels, not corners and not '
        'fractions'
    ]
    outside = dict(bbox=[200, 20, 60, 40])
    assert 'box-systematic' in check(*good, *[outside] * 11)
    # Boxes of objects that are cut by the edge reach over it, corners in place of sizes mostly.
    over = dict(bbox=[20, 20, 60, 40])
    assert 'box-systematic' not in check(*good, *[over] * 400)
    assert 'box-systematic' in check(*good, *[over] * 600)


def test_annotations_of_unlisted_images() -> None:
    found = check(dict(bbox=[1, 1, 9, 9], image_id=7), dict(bbox=[10, 10, 9, 9]))
    assert found == {'unknown-image': ['1 annotation of image_id 7']}
