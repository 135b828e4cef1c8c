"""The levels of findings are what the libraries' own readers do with such data."""

import json
from pathlib import Path

import numpy as np
import pytest
from image_samples import encode, make_image
from mmcv.transforms import LoadImageFromFile
from mmengine.registry import init_default_scope
from PIL import Image

from symmim_mm.datacheck.coco.layout import plan_coco
from symmim_mm.datacheck.image import Options, inspect_label_map
from symmim_mm.datacheck.kinds import LEVELS, PROBLEM
from symmim_mm.datacheck.report import Report
from symmim_mm.datasets.folder_scan import EXTENSIONS


def test_extensions() -> None:
    from inspect import signature

    from mmpretrain.datasets import CustomDataset

    stock = signature(CustomDataset).parameters['extensions'].default
    assert stock == EXTENSIONS[: len(stock)]


@pytest.mark.slow
def test_categories() -> None:
    from mmdet.datasets import CocoDataset

    from symmim_mm.datacheck.coco.annotation_file import NAMES

    assert CocoDataset.METAINFO['classes'] == NAMES


MAPS = {
    'whole': encode(Image.fromarray(np.full((20, 20), 3, np.uint8)), 'PNG'),
    'palette': encode(Image.fromarray(np.full((20, 20), 3, np.uint8)).convert('P'), 'PNG'),
    'stray': encode(Image.fromarray(np.full((20, 20), 9, np.uint8)), 'PNG'),
    'ignored': encode(Image.fromarray(np.full((20, 20), 255, np.uint8)), 'PNG'),
    'colors': encode(Image.new('RGB', (20, 20), (3, 3, 3)), 'PNG'),
    'two channels': encode(Image.new('LA', (20, 20), (3, 255)), 'PNG'),
    'half': encode(make_image(200, 200).convert('L'), 'PNG')[:600],
    'empty': b'',
    'other size': encode(Image.fromarray(np.full((20, 21), 3, np.uint8)), 'PNG'),
}


@pytest.mark.slow
@pytest.mark.parametrize('what', MAPS)
def test_label_maps(what: str, tmp_path: Path) -> None:
    """A label map is a problem exactly if MMSegmentation's reading or its loss fails on it."""
    import torch
    from mmseg.datasets.transforms import LoadAnnotations
    from mmseg.models.losses import CrossEntropyLoss

    path = tmp_path / 'map.png'
    path.write_bytes(MAPS[what])
    content = dict(seg_map_path=str(path), seg_fields=[], reduce_zero_label=True)
    try:
        labels = LoadAnnotations().transform(content)['gt_seg_map']
        target = torch.from_numpy(labels.astype(np.int64))[None]
        CrossEntropyLoss()(torch.zeros(1, 8, 20, 20), target, ignore_index=255)
        stops = False
    except Exception:
        stops = True
    findings, _ = inspect_label_map(str(path), Options('', classes=8), (20, 20))
    problem = any(kind in LEVELS[PROBLEM] for kind, _ in findings)
    assert problem == stops == (what not in ('whole', 'palette', 'ignored'))


POLYGON = [[2.0, 2.0, 20.0, 2.0, 20.0, 20.0]]
CODE = {'size': [48, 64], 'counts': [130, 10, 48 * 64 - 140]}
ENTRY = dict(id=1, image_id=1, category_id=1, bbox=[2, 2, 18, 18], area=162, iscrowd=0)
# name -> (changes of the annotation, kind of the finding, whether it reaches the training)
ANNOTATIONS = {
    'polygon': ({}, None, True),
    'run lengths': (dict(segmentation=CODE), None, True),
    'crowd': (dict(iscrowd=1, segmentation=CODE), None, False),
    'no area': (dict(area=0), 'box-small', False),
    'no height': (dict(bbox=[2, 2, 18, 0]), 'box-small', False),
    'over the edge': (dict(bbox=[50, 30, 40, 40], segmentation=[[50, 30, 64, 30, 64, 48]]),
                      'box-clipped', True),
    'outside': (dict(bbox=[70, 2, 18, 18]), 'box-outside', False),
    'negative': (dict(bbox=[30, 30, -18, -18]), 'box-outside', False),
    'two points': (dict(segmentation=[[2, 2, 20, 20]]), 'polygon-short', False),
    'other category': (dict(category_id=7), 'unknown-category', False),
    'other image': (dict(image_id=7), 'unknown-image', False),
    'no mask': (dict(segmentation=[]), 'segmentation-empty', None),
    'no box': (dict(bbox=None), 'json-layout', None),
    'short box': (dict(bbox=[2, 2, 18]), 'json-layout', None),
    'run lengths of another size': (
        dict(segmentation={'size': [48, 60], 'counts': [48 * 60]}), 'rle', None),
    'run lengths too long': (
        dict(segmentation={'size': [48, 64], 'counts': [130, 10, 48 * 64]}), 'rle', None),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize('what', ANNOTATIONS)
def test_annotations(what: str, tmp_path: Path) -> None:
    """MMDetection stops at an annotation, leaves it out or trains on it, as its kind says."""
    init_default_scope('mmdet')
    from mmdet.datasets import CocoDataset
    from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs

    changes, kind, kept = ANNOTATIONS[what]
    content = {
        'images': [dict(id=1, file_name='a.jpg', width=64, height=48)],
        'annotations': [ENTRY | dict(segmentation=POLYGON) | changes],
        'categories': [dict(id=1, name='thing')],
    }
    for split in ('train2017', 'val2017'):
        (tmp_path / 'annotations').mkdir(exist_ok=True)
        (tmp_path / f'annotations/instances_{split}.json').write_text(json.dumps(content))
        (tmp_path / split).mkdir()
        (tmp_path / split / 'a.jpg').write_bytes(encode(make_image(64, 48)))
    report = Report('coco', tmp_path)
    plan_coco(str(tmp_path), report)
    expected = {kind} if kind else set()
    if not kept:  # the only annotation
        expected.add('no-instances')
    counts = {'image-count', 'class-count', 'category-unused'}
    assert set(report.findings) - counts == expected
    try:
        dataset = CocoDataset(
            data_root=str(tmp_path),
            ann_file='annotations/instances_train2017.json',
            data_prefix=dict(img='train2017/'),
            metainfo=dict(classes=('thing',)),
            pipeline=[LoadImageFromFile(), LoadAnnotations(with_mask=True), PackDetInputs()],
        )
        reached = len(dataset[0]['data_samples'].gt_instances) == 1
    except Exception:
        reached = None
    assert reached == kept
