"""What the commands for one's own labels plan: configs, held-out images, classes."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from own_data import STD, TASKS, coco, config_of, write

from symmim_mm.apis.own_data.detect import detect
from symmim_mm.apis.own_data.finetune import finetune
from symmim_mm.apis.own_data.segment import segment
from symmim_mm.apis.own_data.transfer import SHORT_DECAY


@pytest.mark.parametrize('task', TASKS)
def test_a_short_run_and_a_random_start_are_no_published_recipe(
    task: str, backbone: Path, sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random layers learn at the full rate, from images normalized by their own colors."""
    function, data, _ = TASKS[task]
    rates, means = [], []
    for file in (None, backbone):
        out = tmp_path / str(bool(file))
        cfg = config_of(function, data(sample_data), monkeypatch, out, backbone=file)
        rates.append(cfg.optim_wrapper.paramwise_cfg.layer_decay_rate)
        means.append((cfg if task == 'finetune' else cfg.model).data_preprocessor.mean)
        assert cfg.model.backbone.drop_path_rate == 0
    assert rates[0] == 1 > rates[1] and (task == 'finetune' or rates[1] == SHORT_DECAY)
    assert means[0] not in ([123.675, 116.28, 103.53], STD) and means[1] == STD  # the file's


def test_as_many_objects_are_found_as_an_image_has(
    sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads(coco(sample_data)[0].read_text())
    first, names = content['annotations'][0], [entry['id'] for entry in content['images']]
    content['annotations'] = [
        first | dict(id=number, image_id=names[max(0, number - 299)]) for number in range(303)
    ]
    (tmp_path / 'many.json').write_text(json.dumps(content))
    data = tmp_path / 'many.json', coco(sample_data)[1]
    cfg = config_of(detect, data, monkeypatch, tmp_path / 'out', val=None)
    assert cfg.model.test_cfg.rcnn.max_per_img == 300


def test_held_out_images_are_balanced(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = config_of(finetune, (classes,), monkeypatch, tmp_path / 'out', labels=0.5)
    assert cfg.train_dataloader.dataset.labels == (0.0, 0.4)
    assert cfg.val_dataloader.dataset.labels == (0.8, 1.0)
    assert cfg.model.head.num_classes == 2


@pytest.mark.parametrize('size', [32, 96, 160])
def test_the_patch_follows_from_the_size(
    size: int, classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the images that a random start sees, not of the files, which have 40 pixels."""
    cfg = config_of(finetune, (classes,), monkeypatch, tmp_path / 'out', image_size=size)
    backbone = cfg.model.backbone
    assert (backbone.img_size, backbone.patch_size) == (size, {32: 4, 96: 8, 160: 16}[size])


def test_a_list_of_paths_and_classes(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f'{path.relative_to(classes)} {path.parent.name}' for path in classes.rglob('*.png')]
    (classes / 'list.txt').write_text('\n'.join(names))
    cfg = config_of(finetune, (classes / 'list.txt',), monkeypatch, tmp_path / 'out', val=0.3)
    assert cfg.val_dataloader.dataset.labels == (0.7, 1.0)
    listed = Path(cfg.train_dataloader.dataset.ann_file).read_text().splitlines()
    assert set(listed) == {f'{line.split()[0]} {int(line.endswith("dog"))}' for line in names}


def test_boxes_without_masks(
    sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads(coco(sample_data)[0].read_text())
    for entry in content['annotations']:
        entry.pop('segmentation')
    (tmp_path / 'boxes.json').write_text(json.dumps(content))
    data = tmp_path / 'boxes.json', coco(sample_data)[1]
    cfg = config_of(detect, data, monkeypatch, tmp_path / 'out')
    assert cfg.train_cfg.val_interval == cfg.recipe.iterations  # a short run, measured once
    assert cfg.model.roi_head.mask_head is None and cfg.val_evaluator.metric == ['bbox']
    assert not any(step.get('with_mask') for step in cfg.train_dataloader.dataset.pipeline)
    parts = [
        json.loads((tmp_path / f'out/plan/{part}.json').read_text()) for part in ('train', 'val')
    ]
    assert [len(part['images']) for part in parts] == [13, 3]
    assert sum(len(part['annotations']) for part in parts) == len(content['annotations'])
    # Images of 96 pixels are not enlarged; the patch of 8 makes strides of 4, 8, 16.
    assert cfg.model.data_preprocessor.pad_size_divisor == 96
    assert cfg.model.backbone.window_size == 12  # one for all of it
    assert cfg.model.roi_head.bbox_roi_extractor.featmap_strides == [4.0, 8.0, 16.0]


def test_label_maps_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        write(tmp_path / f'images/{number}.png', number)
        if number:
            label = np.zeros((40, 40), np.uint8)
            label[:9] = 2 if number > 3 else 1
            label[-1] = 255
            write(tmp_path / f'masks/{number}_mask.png', label)
    lines: list[str] = []
    data = tmp_path / 'images', tmp_path / 'masks'
    cfg = config_of(segment, data, monkeypatch, tmp_path / 'out', report=lines.append)
    dataset = cfg.train_dataloader.dataset
    assert dataset.metainfo.classes == ('class 0', 'class 1', 'class 2')
    assert (dataset.img_suffix, dataset.seg_map_suffix) == ('.png', '_mask.png')
    assert any('1 images have no label map' in line for line in lines)
    lists = [
        set(Path(cfg[f'{part}_dataloader'].dataset.ann_file).read_text().split())
        for part in ('train', 'val')
    ]
    assert list(map(len, lists)) == [7, 2] and set.union(*lists) == set('123456789')


@pytest.mark.parametrize(
    ('values', 'classes', 'mapped'),
    [
        ((0, 255), ('background', 'object'), {0: 0, 255: 1}),
        ((0, 1), ('background', 'object'), {0: 0, 1: 1}),
        ((1, 7, 255), ('class 1', 'class 7'), {1: 0, 7: 1, 255: 255}),
    ],
)
def test_any_values_of_label_maps(
    values: tuple[int, ...],
    classes: tuple[str, ...],
    mapped: dict[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    label = np.resize(np.array(values, np.uint8), (40, 40))
    for number in range(5):
        write(tmp_path / f'images/{number}.png', number)
        write(tmp_path / f'masks/{number}.png', label)
    data = tmp_path / 'images', tmp_path / 'masks'
    cfg = config_of(segment, data, monkeypatch, tmp_path / 'out')
    init_default_scope('mmseg')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert dataset.metainfo['classes'] == classes and cfg.model.decode_head.num_classes == 2
    found = dataset[0]['data_samples'].gt_sem_seg.data[0].numpy()
    assert (found == np.vectorize(mapped.get)(label)).all()
