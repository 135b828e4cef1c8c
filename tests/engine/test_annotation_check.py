"""COCO files that would crash or spoil a run are refused before a library reads them."""

import json
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from symmim_mm.engine.annotation_check import SHOWN, check_annotations
from symmim_mm.utils.errors import UserError

ENTRY = dict(
    id=1, image_id=1, category_id=1, bbox=[2, 2, 18, 18], area=162, iscrowd=0,
    segmentation=[[2, 2, 20, 2, 20, 20]],
)  # fmt: skip
CODE = {'size': [48, 64], 'counts': [130, 10, 48 * 64 - 140]}


def content(*changes: dict[str, Any]) -> dict[str, list]:
    """Return one image with an annotation for each of the changes."""
    return dict(
        images=[dict(id=1, file_name='a.jpg', width=64, height=48)],
        annotations=[ENTRY | dict(id=n) | change for n, change in enumerate(changes)],
        categories=[dict(id=1, name='disc')],
    )


def config(root: Path, data: Any, split: str = 'train') -> Config:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    (root / 'a.json').write_bytes(text)
    dataset = dict(
        type='mmdet.CocoDataset', data_root=str(root), ann_file='a.json',
        metainfo=dict(classes=('disc',)),
    )  # fmt: skip
    return Config({f'{split}_dataloader': dict(dataset=dataset)})


def refusal(cfg: Config, split: str = 'train') -> str:
    with pytest.raises(UserError) as error:
        check_annotations(cfg, (split,))
    return str(error.value)


WRONG = {
    'infinite box': (content({}, *2 * [dict(bbox=[0, 0, float('inf'), 1])]),
                     'annotation 1 of a.jpg: bbox [0, 0, inf, 1], area 162 and 1 more '
                     '(json-layout: '),
    'string in a box': (content(dict(bbox=[0, 'a', 1, 1])), "bbox [0, 'a', 1, 1]"),
    'long string': (content(dict(bbox='x' * 10_000)), 'xxx... (json-layout: '),
    'string for an area': (content(dict(area='large')), "area 'large'"),
    'the same id': (content({}, dict(id=0)), 'annotation 0 of a.jpg (duplicate-id: '),
    'null mask': (content(dict(segmentation=None)), '(segmentation-empty: '),
    'huge runs': (content(dict(segmentation=CODE | dict(counts=[10**30]))), '(rle: '),
    'negative runs': (content(dict(segmentation=CODE | dict(counts=[-1, 3073]))), '(rle: '),
    'a list': ([content({})], 'holds a list, not an object (json: '),
    'cut': (json.dumps(content({})).encode()[:-9], ' (json: '),
    'byte order mark': (json.dumps(content({})).encode('utf-8-sig'), 'Unexpected UTF-8 BOM'),
    'UTF-16': (json.dumps(content({})).encode('utf-16'), "'utf-8' codec can't decode byte"),
    'no images': (content({}) | dict(images=[]), 'a.json: no images where there must be'),
    'no annotations': (content(), '0 annotations in all (no-instances: '),
    'crowds alone': (content(dict(iscrowd=1, segmentation=CODE)), '(no-instances: '),
}  # fmt: skip


@pytest.mark.parametrize('what', WRONG)
def test_refused(what: str, tmp_path: Path) -> None:
    data, words = WRONG[what]
    line = refusal(config(tmp_path, data))
    assert words in line and line.startswith(f'{tmp_path}/a.json: ') and '\n' not in line
    assert len(line) < len(str(tmp_path)) + SHOWN + 200


@pytest.mark.parametrize(
    'change',
    [
        dict(iscrowd=1, segmentation=CODE), dict(area=0), dict(bbox=[2, 2, 18, 0]),
        dict(bbox=[2, 2, 0.5, 18]), dict(bbox=[50, 30, 40, 40]), dict(bbox=[64, 0, 9, 9]),
        dict(segmentation=[[2, 2, 20, 20]]), dict(segmentation=CODE), dict(image_id=7),
        dict(category_id=7),
    ],
    ids=str,
)  # fmt: skip
def test_entries_that_mmdetection_drops_are_not_refused(change: dict, tmp_path: Path) -> None:
    check_annotations(config(tmp_path, content({}, change)), ('train', 'val'))


def test_data_that_the_filter_drops_altogether(tmp_path: Path) -> None:
    """MMEngine ends with a traceback where no image is left."""
    cfg = config(tmp_path, content({}))
    dataset = cfg.train_dataloader.dataset
    dataset.filter_cfg = dict(filter_empty_gt=True, min_size=48)
    check_annotations(cfg, ('train',))
    dataset.filter_cfg.min_size = 49
    assert 'a.json: every annotated image has a side below 49 pixels' in refusal(cfg)
    del dataset.metainfo  # COCO's own classes then
    assert 'has none of the classes of the config, its own are disc: set train_' in refusal(cfg)


def test_a_test_without_instances_is_not_refused(tmp_path: Path) -> None:
    """It measures nothing, but does no harm."""
    check_annotations(config(tmp_path, content(), 'val'), ('train', 'val'))


def test_files_of_wrapped_data_and_of_metrics(tmp_path: Path) -> None:
    cfg = config(tmp_path, b'{')
    wrapped = dict(type='RepeatDataset', dataset=dict(
        type='ConcatDataset', datasets=[cfg.train_dataloader.dataset]))  # fmt: skip
    assert 'a.json: ' in refusal(Config(dict(train_dataloader=dict(dataset=wrapped))))
    metric = dict(type='mmdet.CocoMetric', ann_file=str(tmp_path / 'a.json'))
    assert 'a.json: ' in refusal(Config(dict(test_evaluator=metric)), 'test')
    assert 'a.json: ' in refusal(Config(dict(test_evaluator=[metric])), 'test')


def test_other_tasks_read_nothing(tmp_path: Path) -> None:
    folder = dict(type='CustomDataset', data_root=str(tmp_path), ann_file='none.json')
    cfg = Config(dict(train_dataloader=dict(dataset=folder), val_evaluator=dict(type='Accuracy')))
    check_annotations(cfg, ('train', 'val', 'test'))
