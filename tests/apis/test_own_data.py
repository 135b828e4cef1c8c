"""From one's own labels to a model in use, as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from own_data import ade, coco, write

import symmim_mm
from symmim_mm.apis.backbone import backbone_settings
from symmim_mm.apis.detect import detect
from symmim_mm.apis.embed import embed
from symmim_mm.apis.finetune import finetune
from symmim_mm.apis.predict import predict
from symmim_mm.apis.segment import segment
from symmim_mm.apis.transfer import data_name
from symmim_mm.checkpoint.encoder import Encoder
from symmim_mm.config.load import load_config

pytestmark = pytest.mark.xdist_group('own_data')  # they share trained runs
SIZES = dict(heads=4, width=48, layers=12, hidden=96, channels=3, patch=8, image=32)
VIT = Encoder({}, 'tiny', **SIZES, pooled=False)
STD = [50.0, 51.0, 52.0]


@pytest.fixture(scope='module')
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-training's checkpoint of a ViT whose heads only its config gives."""
    from mmpretrain.models import VisionTransformer

    arch = backbone_settings(VIT)['arch']
    arch.pop('_delete_')
    model = VisionTransformer(arch=arch, img_size=VIT.image, patch_size=VIT.patch)
    config = Config(
        dict(model=dict(backbone=dict(arch=arch), data_preprocessor=dict(mean=STD, std=STD)))
    )
    state = {f'backbone.{key}': value for key, value in model.state_dict().items()}
    path = tmp_path_factory.mktemp('backbone') / 'epoch_1.pth'
    torch.save(dict(state_dict=state, meta=dict(cfg=config.pretty_text)), path)
    return path


TASKS = {
    'finetune': (finetune, lambda root: (root / 'imagenet',), 'top1'),
    'detection': (detect, coco, 'mask_ap'),
    'segmentation': (segment, ade, 'miou'),
}


@pytest.fixture(scope='module', params=TASKS)
def run(
    request: pytest.FixtureRequest,
    sample_data: Path,
    backbone: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path, list[str]]:
    """A short run of each task: its name, its folder and what it reported."""
    function, data, _ = TASKS[request.param]
    out, lines = tmp_path_factory.mktemp('run') / 'out', []
    options = dict(backbone=backbone, epochs=1, workers=0, out=out, report=lines.append)
    assert function(*data(sample_data), **options) == out / 'report/index.html'
    return request.param, out, lines


@pytest.mark.slow
def test_from_labels_to_a_page(run: tuple[str, Path, list[str]]) -> None:
    task, out, lines = run
    record = json.loads((out / 'result.json').read_text())
    assert TASKS[task][2] in record['metrics'] and (out / 'report/index.html').is_file()
    assert any('symmim predict' in line for line in lines)
    cfg = Config.fromfile(out / 'plan' / f'{task}.py')
    assert cfg.model.backbone.arch.num_heads == 4 and cfg.model.backbone.patch_size == 8
    normalized = cfg.data_preprocessor if task == 'finetune' else cfg.model.data_preprocessor
    assert normalized.std == STD
    report: list[str] = []
    again = TASKS[task][0](
        *(['gone'] * (1 if task == 'finetune' else 2)), out=out, report=report.append
    )
    assert again == out / 'report/index.html' and 'the run is continued' in report[0]


@pytest.mark.slow
def test_a_run_in_use(run: tuple[str, Path, list[str]], sample_data: Path, tmp_path: Path) -> None:
    task, out, _ = run
    folder = sample_data / 'ade20k/images/validation'
    file = predict(out, [folder], out=tmp_path / 'out', report=lambda _: None)
    content = json.loads(file.read_text())
    paths = sorted(folder.glob('*.png'))
    assert [entry['path'] for entry in content['images']] == list(map(str, paths))
    assert all((file.parent / entry['drawing']).is_file() for entry in content['images'])
    model = symmim_mm.load(next(out.glob('*.pth')))
    pixels = cv2.imread(str(paths[0]))[..., ::-1]
    first, same = model.predict([paths[0]])[0], model.predict(pixels)[0]
    entry = content['images'][0]
    if task == 'finetune':
        assert first.names == same.names and len(first.names) == len(content['classes']) == 10
        assert entry['classes'][0]['name'] == first.names[0]
        assert first.scores.sum() == pytest.approx(1, abs=1e-5)
    elif task == 'detection':
        np.testing.assert_allclose(first.boxes, same.boxes)
        assert len(entry['objects']) == len(first.boxes) == len(first.masks)
        size = list(pixels.shape[:2])
        assert all(one['mask']['size'] == size for one in entry['objects'])
    else:
        labels = cv2.imread(str(file.parent / entry['label_map']), cv2.IMREAD_UNCHANGED)
        assert (labels == first.labels).all() and (same.labels == first.labels).all()
        assert sum(entry['shares'].values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_the_libraries_read_a_run(
    run: tuple[str, Path, list[str]], sample_data: Path, tmp_path: Path
) -> None:
    """What a run writes is all that the three libraries' own inferencers ask for."""
    task, out, _ = run
    config, checkpoint = str(next(out.glob('*.py'))), str(next(out.glob('*.pth')))
    image = str(next((sample_data / 'ade20k/images/validation').glob('*.png')))
    if task == 'finetune':
        from mmpretrain import ImageClassificationInferencer

        inferencer = ImageClassificationInferencer(config, checkpoint, device='cpu')
        assert inferencer(image)[0]['pred_class'] in inferencer.classes
        return
    if task == 'detection':
        from mmdet.apis import DetInferencer as Inferencer
        from mmdet.apis import inference_detector as infer
        from mmdet.apis import init_detector as init
    else:
        from mmseg.apis import MMSegInferencer as Inferencer
        from mmseg.apis import inference_model as infer
        from mmseg.apis import init_model as init
    found = infer(init(config, checkpoint, device='cpu'), image)
    expected = symmim_mm.load(out).predict(image)[0]
    inferencer = Inferencer(config, checkpoint, device='cpu', show_progress=False)
    result = inferencer(image, return_vis=True)
    assert np.asarray(result['visualization']).shape[-1] == 3
    if task == 'detection':
        assert (
            len(found.pred_instances)
            == len(expected.boxes)
            == len(result['predictions'][0]['scores'])
        )
    else:
        labels = found.pred_sem_seg.data[0].numpy()
        assert (labels == expected.labels).all() and (labels == result['predictions']).all()


@pytest.mark.slow
def test_features_of_images(backbone: Path, sample_data: Path, tmp_path: Path) -> None:
    folder = sample_data / 'imagenet/val'
    out = embed(backbone, [folder], out=tmp_path / 'a.npz', report=lambda _: None)
    found = np.load(out)
    assert found['features'].shape == (20, VIT.width) and found['features'].dtype == np.float32
    assert len(found['paths']) == 20 and np.isfinite(found['features']).all()


def config_of(
    function: Callable[..., Path],
    data: tuple,
    monkeypatch: pytest.MonkeyPatch,
    out: Path,
    **options: Any,
) -> Config:
    """Return the config that a command writes, without training it."""

    class Written(Exception):
        pass

    def stop(*args: object, **kwargs: object) -> None:
        raise Written

    monkeypatch.setattr('symmim_mm.apis.transfer.train_planned', stop)
    options = dict(epochs=1, workers=0, out=out, report=lambda line: None) | options
    with pytest.raises(Written):
        function(*data, **options)
    return load_config(next((out / 'plan').glob('*.py')))


@pytest.mark.parametrize('task', TASKS)
def test_a_short_run_and_a_random_start_are_no_published_recipe(
    task: str, backbone: Path, sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random layers learn at the full rate; few steps without stochastic depth."""
    function, data, _ = TASKS[task]
    rates = []
    for file in (None, backbone):
        out = tmp_path / str(bool(file))
        cfg = config_of(function, data(sample_data), monkeypatch, out, backbone=file)
        rates.append(cfg.optim_wrapper.paramwise_cfg.layer_decay_rate)
        assert cfg.model.backbone.drop_path_rate == 0
    assert rates[0] == 1 > rates[1]


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


@pytest.mark.slow
@pytest.mark.parametrize('task', ['finetune', 'detection'])
def test_a_list_and_boxes_train_without_validation(
    task: str, classes: Path, backbone: Path, sample_data: Path, tmp_path: Path
) -> None:
    paths = sorted(classes.rglob('*.png'))
    lines = [f'{path.relative_to(tmp_path)} {path.parent.name}' for path in paths]
    (tmp_path / 'list.txt').write_text('\n'.join(lines))
    content = json.loads(coco(sample_data)[0].read_text())
    for entry in content['annotations']:
        entry.pop('segmentation')
    (tmp_path / 'boxes.json').write_text(json.dumps(content))
    data = (tmp_path / 'boxes.json', coco(sample_data)[1])
    data, metric = ((tmp_path / 'list.txt',), 'top1') if task == 'finetune' else (data, 'box_ap')
    options = dict(val=None, backbone=backbone, epochs=1, workers=0, report=lambda _: None)
    TASKS[task][0](*data, out=tmp_path / 'out', **options)
    record = json.loads((tmp_path / 'out/result.json').read_text())
    assert metric in record['metrics'] and 'mask_ap' not in record['metrics']


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


@pytest.mark.parametrize('folder', ['cells', 'cells/train2017', 'cells/images/training'])
def test_data_are_called_by_their_folder(folder: str, tmp_path: Path) -> None:
    assert data_name(tmp_path / folder) == 'cells'
