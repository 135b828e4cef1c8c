"""What the commands for one's own labels plan: configs, held-out images, classes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from own_data import STD, TASKS, coco, write

from symmim_mm.apis.own_data.detect import detect
from symmim_mm.apis.own_data.finetune import finetune
from symmim_mm.apis.own_data.pretrain import pretrain
from symmim_mm.apis.own_data.transfer import SHORT_DECAY
from symmim_mm.datasets.label_share import use_label_share


@pytest.mark.parametrize('task', TASKS)
def test_a_short_run_and_a_random_start_are_no_published_recipe(
    task: str, backbone: Path, sample_data: Path, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    """Random layers learn at the full rate, from images normalized by their own colors."""
    function, data, _ = TASKS[task]
    rates, means = [], []
    for file in (None, backbone):
        out = tmp_path / str(bool(file))
        cfg = config_of(function, *data(sample_data), out=out, backbone=file)
        rates.append(cfg.optim_wrapper.paramwise_cfg.layer_decay_rate)
        means.append((cfg if task == 'finetune' else cfg.model).data_preprocessor.mean)
        assert cfg.model.backbone.drop_path_rate == 0
    assert rates[0] == 1 > rates[1] and (task == 'finetune' or rates[1] == SHORT_DECAY)
    assert means[0] not in ([123.675, 116.28, 103.53], STD) and means[1] == STD  # the file's


def test_images_that_cannot_be_read_do_not_count(
    tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    """A warm-up of one of five steps would be none of the four that there are, and be refused."""
    for number in range(100):
        write(tmp_path / f'images/{number}.png', number)
        if number % 5 == 0:
            (tmp_path / f'images/{number}.png').write_bytes(b'no image')
    lines: list[str] = []
    cfg = config_of(pretrain, tmp_path / 'images', image_size=32, report=lines.append)
    trained = Path(cfg.train_dataloader.dataset.ann_file).read_text().split()
    assert len(trained) == 72 and not {'0.png', '95.png'} & {*trained}
    assert cfg.recipe.warmup_epochs == 0.25 and any(
        '4 steps of 16 images' in line for line in lines
    )


def test_as_many_objects_are_found_as_an_image_has(
    sample_data: Path, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    content = json.loads(coco(sample_data)[0].read_text())
    first, names = content['annotations'][0], [entry['id'] for entry in content['images']]
    content['annotations'] = [
        first | dict(id=number, image_id=names[max(0, number - 299)]) for number in range(303)
    ]
    (tmp_path / 'many.json').write_text(json.dumps(content))
    data = tmp_path / 'many.json', coco(sample_data)[1]
    cfg = config_of(detect, *data, val=None)
    assert cfg.model.test_cfg.rcnn.max_per_img == 300


def test_held_out_images_are_balanced(
    classes: Path, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    cfg = config_of(finetune, classes, labels=0.5)
    assert cfg.train_dataloader.dataset.labels == (0.0, 0.4)
    assert cfg.val_dataloader.dataset.labels == (0.8, 1.0)
    assert cfg.model.head.num_classes == 2


@pytest.mark.parametrize('size', [32, 96, 160])
def test_the_patch_follows_from_the_size(
    size: int, classes: Path, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    """Of the images that a random start sees, not of the files, which have 40 pixels."""
    cfg = config_of(finetune, classes, image_size=size)
    backbone = cfg.model.backbone
    assert (backbone.img_size, backbone.patch_size) == (size, {32: 4, 96: 8, 160: 16}[size])


def test_a_list_of_paths_and_classes(
    classes: Path, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    names = [f'{path.relative_to(classes)} {path.parent.name}' for path in classes.rglob('*.png')]
    (classes / 'list.txt').write_text('\n'.join(names))
    cfg = config_of(finetune, classes / 'list.txt', val=0.3)
    assert cfg.val_dataloader.dataset.labels == (0.7, 1.0)
    listed = Path(cfg.train_dataloader.dataset.ann_file).read_text().splitlines()
    assert set(listed) == {f'{line.split()[0]} {int(line.endswith("dog"))}' for line in names}


def test_boxes_without_masks(
    sample_data: Path, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    content = json.loads(coco(sample_data)[0].read_text())
    for entry in content['annotations']:
        entry.pop('segmentation')
    (tmp_path / 'boxes.json').write_text(json.dumps(content))
    data = tmp_path / 'boxes.json', coco(sample_data)[1]
    cfg = config_of(detect, *data)
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


@pytest.mark.parametrize('task', TASKS)
def test_without_validation_what_was_trained_on_is_measured(
    task: str, sample_data: Path, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    function, data, _ = TASKS[task]
    cfg = config_of(function, *data(sample_data), val=None, labels=0.5)
    init_default_scope('mmpretrain')
    built = [
        DATASETS.build(use_label_share(dict(cfg[loader].dataset)))
        for loader in ('train_dataloader', 'val_dataloader')
    ]
    trained, measured = (
        {part.get_data_info(number)['img_path'] for number in range(len(part))} for part in built
    )
    everything = config_of(function, *data(sample_data), val=None, out=tmp_path / 'all')
    whole = DATASETS.build(use_label_share(dict(everything.train_dataloader.dataset)))
    assert trained == measured and len(trained) == pytest.approx(len(whole) / 2, abs=1)
    if task == 'detection':
        annotations = json.loads(Path(cfg.val_evaluator.ann_file).read_text())
        assert len(annotations['images']) == len(trained)
