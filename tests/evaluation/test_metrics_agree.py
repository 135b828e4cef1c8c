"""The configs' evaluators against pycocotools itself and against mIoU worked out by its formula.

Predictions are the ground truth, disturbed: boxes and masks moved, labels confused, some left out,
some invented. What an evaluator says of them must be what the reference says. MMDetection rounds to
three decimals and MMSegmentation to two decimals of a percent; before rounding, 1e-6.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from full_layouts import write_ade20k, write_coco
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from paths import ROOT
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from symmim_mm.results.metrics import METRICS

COCO_NAMES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


@pytest.fixture(scope='module')
def roots(tmp_path_factory: pytest.TempPathFactory, sample_data: Path) -> dict[str, Path]:
    root = tmp_path_factory.mktemp('metrics')
    return {
        'detection/mask-rcnn_vit_b_100ep_coco': write_coco(root / 'coco', count=6),
        'quickstart/mask_rcnn': sample_data / 'coco',
        'segmentation/upernet_vit_b_160k_ade20k': write_ade20k(root / 'ade', count=3),
        'quickstart/upernet': sample_data / 'ade20k',
    }


def evaluator_and_data(name: str, root: Path) -> tuple[Evaluator, torch.utils.data.Dataset]:
    """The evaluator of a config, and the validation set it is told the classes of."""
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    init_default_scope(cfg.default_scope)
    options = {'val_dataloader.dataset.data_root': str(root)}
    if 'ann_file' in cfg.val_evaluator:
        options['val_evaluator.ann_file'] = str(root / 'annotations' / 'instances_val2017.json')
    cfg.merge_from_dict(options)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    evaluator = Evaluator(cfg.val_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    return evaluator, dataset


def disturbed_instances(coco: COCO, image_id: int) -> list[dict]:
    """Predictions for one image: xyxy box, mask, category number and score each."""
    rng = np.random.default_rng([7, image_id])
    info = coco.loadImgs(image_id)[0]
    height, width = info['height'], info['width']
    numbers = coco.getCatIds()
    found = []
    for annotation in coco.loadAnns(coco.getAnnIds(image_id)):
        if rng.random() < 0.15:
            continue  # missed
        mask = coco.annToMask(annotation)
        for _ in range(1 + (rng.random() < 0.3)):  # some twice
            x, y, w, h = annotation['bbox']
            box = np.array([x, y, x + w, y + h]) + rng.normal(0, 0.06, 4) * [w, h, w, h]
            shift = rng.integers(-4, 5, 2)
            confused = rng.random() < 0.15
            found.append(
                dict(
                    box=np.clip(box, 0, [width, height, width, height]),
                    mask=np.roll(mask, shift, axis=(0, 1)).astype(bool),
                    category=int(rng.choice(numbers)) if confused else annotation['category_id'],
                    score=float(rng.uniform(0.2, 1.0)),
                )
            )
    for _ in range(3):  # nothing is there
        left, top = rng.uniform(0, 0.7, 2) * [width, height]
        box = np.array([left, top, left + 0.2 * width, top + 0.2 * height])
        mask = np.zeros((height, width), dtype=bool)
        mask[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
        category = int(rng.choice(numbers))
        found.append(dict(box=box, mask=mask, category=category, score=float(rng.uniform(0, 0.6))))
    for prediction in found:  # the precision of a model's output
        prediction['box'] = prediction['box'].astype(np.float32)
        prediction['score'] = float(np.float32(prediction['score']))
    return found


def pycocotools_stats(coco: COCO, predictions: dict[int, list[dict]], kind: str) -> np.ndarray:
    """The twelve numbers of COCOeval with its own defaults."""
    entries = []
    for image_id, found in predictions.items():
        for prediction in found:
            entry = dict(
                image_id=image_id, category_id=prediction['category'], score=prediction['score']
            )
            if kind == 'bbox':
                left, top, right, bottom = prediction['box'].astype(float).tolist()
                entry['bbox'] = [left, top, right - left, bottom - top]
            else:
                pixels = np.asfortranarray(prediction['mask'].astype(np.uint8))
                entry['segmentation'] = coco_mask.encode(pixels)
            entries.append(entry)
    reference = COCOeval(coco, coco.loadRes(entries), kind)
    reference.evaluate()
    reference.accumulate()
    reference.summarize()
    return reference.stats


@pytest.mark.parametrize('name', ['detection/mask-rcnn_vit_b_100ep_coco', 'quickstart/mask_rcnn'])
def test_coco_metric_agrees_with_pycocotools(name: str, roots: dict[str, Path]) -> None:
    evaluator, dataset = evaluator_and_data(name, roots[name])
    coco = COCO(roots[name] / 'annotations' / 'instances_val2017.json')
    names = {number: coco.loadCats(number)[0]['name'] for number in coco.getCatIds()}
    classes = dataset.metainfo['classes']
    predictions = {image_id: disturbed_instances(coco, image_id) for image_id in coco.getImgIds()}
    predictions[coco.getImgIds()[-1]] = []  # an image in which nothing is found

    for image_id, found in predictions.items():
        info = coco.loadImgs(image_id)[0]
        height, width = info['height'], info['width']
        boxes = np.array([p['box'] for p in found], np.float32).reshape(-1, 4)
        masks = np.array([p['mask'] for p in found], bool).reshape(-1, height, width)
        sample = DetDataSample(metainfo=dict(img_id=image_id, ori_shape=(height, width)))
        sample.pred_instances = InstanceData(
            bboxes=torch.from_numpy(boxes),
            labels=torch.tensor([classes.index(names[p['category']]) for p in found]).long(),
            scores=torch.tensor([p['score'] for p in found]),
            masks=torch.from_numpy(masks),
        )
        evaluator.process(data_samples=[sample])
    found = evaluator.evaluate(len(predictions))

    for kind in ('bbox', 'segm'):
        stats = pycocotools_stats(coco, predictions, kind)
        assert 0.2 < stats[0] < 0.9  # worth comparing
        for place, item in enumerate(COCO_NAMES):
            expected = float(stats[place])
            assert found[f'coco/{kind}_{item}'] == pytest.approx(round(expected, 3), abs=1e-6)
            assert abs(found[f'coco/{kind}_{item}'] - expected) <= 5e-4 + 1e-9
    recorded = {theirs for theirs, _ in METRICS.values() if theirs.startswith('coco/')}
    assert recorded <= found.keys()


def disturbed_map(labels: np.ndarray, classes: int, index: int) -> np.ndarray:
    """A prediction from 0 to ``classes - 1``: the map moved, some classes confused, noise."""
    rng = np.random.default_rng([11, index])
    moved = np.roll(labels.astype(np.int64) - 1, (3, -5), axis=(0, 1))
    moved[moved < 0] = rng.integers(classes)  # predictions know no "unlabelled"
    for value in np.unique(moved)[::3]:
        blob = (moved == value) & (np.arange(moved.shape[1]) % 3 == 0)
        moved[blob] = rng.integers(classes)
    noise = rng.random(moved.shape) < 0.05
    moved[noise] = rng.integers(0, classes, noise.sum())
    return moved


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 ``(classes, classes)``, truth down, prediction across; 0 in ``truth`` is left
    out."""
    known = truth > 0
    pairs = (truth[known].astype(np.int64) - 1) * classes + prediction[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


@pytest.mark.parametrize('name', ['segmentation/upernet_vit_b_160k_ade20k', 'quickstart/upernet'])
def test_miou_agrees_with_its_formula(name: str, roots: dict[str, Path]) -> None:
    evaluator, dataset = evaluator_and_data(name, roots[name])
    classes = len(dataset.metainfo['classes'])
    total = np.zeros((classes, classes), dtype=np.int64)
    for index in range(len(dataset)):
        # The reference reads the file itself; the evaluator gets what the pipeline made of it.
        file = dataset.get_data_info(index)['seg_map_path']
        truth = cv2.imread(file, cv2.IMREAD_UNCHANGED)
        prediction = disturbed_map(truth, classes, index)
        total += confusion_matrix(truth, prediction, classes)
        sample = SegDataSample(gt_sem_seg=dataset[index]['data_samples'].gt_sem_seg)
        sample.pred_sem_seg = PixelData(data=torch.from_numpy(prediction)[None])
        evaluator.process(data_samples=[sample])
    assert (total.sum(axis=1) > 0).sum() >= 8 and np.trace(total) < 0.95 * total.sum()

    hits, truths, guesses = np.diag(total), total.sum(axis=1), total.sum(axis=0)
    with np.errstate(invalid='ignore'):
        iou, accuracy = (
            hits / (truths + guesses - hits),
            hits / truths,
        )  # 0 / 0: not there, not said
    expected = dict(aAcc=hits.sum() / total.sum(), mIoU=np.nanmean(iou), mAcc=np.nanmean(accuracy))

    metric = evaluator.metrics[0]
    areas = [sum(parts).double() for parts in zip(*metric.results, strict=True)]
    exact = metric.total_area_to_metrics(*areas, metrics=['mIoU'])
    np.testing.assert_allclose(exact['IoU'], iou, rtol=0, atol=1e-6)
    np.testing.assert_allclose(exact['Acc'], accuracy, rtol=0, atol=1e-6)

    found = evaluator.evaluate(len(dataset))
    for key, value in expected.items():
        assert abs(found[key] - 100 * value) <= 0.005 + 1e-5, key
    assert {theirs for ours, (theirs, _) in METRICS.items() if ours in ('miou', 'macc')} <= {*found}
