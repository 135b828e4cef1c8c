"""From one's own labels to a model in use, as a user types it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from own_data import STD, TASKS, VIT, coco

import symmim_mm
from symmim_mm.apis.embed import embed
from symmim_mm.apis.predict import predict

pytestmark = pytest.mark.xdist_group('own_data')  # they share trained runs


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
def test_from_labels_to_a_page(run: tuple[str, Path, list[str]], sample_data: Path) -> None:
    task, out, lines = run
    record = json.loads((out / 'result.json').read_text())
    assert TASKS[task][2] in record['metrics'] and (out / 'report/index.html').is_file()
    assert any('symmim predict' in line for line in lines)
    cfg = Config.fromfile(out / 'plan' / f'{task}.py')
    assert cfg.model.backbone.arch.num_heads == 4 and cfg.model.backbone.patch_size == 8
    normalized = cfg.data_preprocessor if task == 'finetune' else cfg.model.data_preprocessor
    assert normalized.std == STD
    report: list[str] = []
    function, data, _ = TASKS[task]
    arguments = json.loads((out / 'plan/arguments.json').read_text())['arguments']
    options = dict(backbone=arguments['backbone'], epochs=1, out=out, report=report.append)
    again = function(*data(sample_data), **options)
    assert again == out / 'report/index.html' and 'the run is continued' in report[0]


@pytest.mark.slow
def test_a_run_in_use(run: tuple[str, Path, list[str]], sample_data: Path, tmp_path: Path) -> None:
    task, out, _ = run
    folder = sample_data / 'ade20k/images/validation'
    file = predict(out, folder, out=tmp_path / 'out', report=lambda _: None)
    content = json.loads(file.read_text())
    paths = sorted(folder.glob('*.png'))
    assert [entry['path'] for entry in content['images']] == list(map(str, paths))
    assert all((file.parent / entry['drawing']).is_file() for entry in content['images'])
    model = symmim_mm.load(next(out.glob('*.pth')))
    pixels = cv2.imread(str(paths[0]))[..., ::-1]
    init_default_scope('mmpretrain')  # as by a classifier that was loaded since
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
