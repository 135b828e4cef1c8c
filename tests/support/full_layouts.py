"""A few drawn images in the layouts, with the classes, of ImageNet-1K, COCO 2017 and ADE20K.

What the sample data are to the quickstart, these are to the full-size configs, which load them
unmodified: JPEG images of usual sizes, a thousand class folders, COCO's 80 categories under
their own numbers with polygons and crowds, ADE20K's 150 classes in PNG maps with 0 = unlabelled.
"""

import json
from pathlib import Path

import cv2
import numpy as np
from mmdet.datasets import CocoDataset
from pycocotools import mask as coco_mask

from symmim_mm.datasets.sample.layouts import image_rng
from symmim_mm.datasets.sample.scenes import CLASSES, draw_classification_image, draw_scene

# COCO numbers its 80 categories from 1 to 90 and leaves these out.
COCO_UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
COCO_NUMBERS = [number for number in range(1, 91) if number not in COCO_UNUSED]
ADE20K_CLASSES = 150


def _save_jpeg(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


def write_imagenet(root: Path, count: int = 4, height: int = 375, width: int = 500) -> Path:
    """``root/{train,val}/n<8 digits>/*.JPEG``: a thousand folders, ``count`` images each."""
    for number, split in enumerate(('train', 'val')):
        for label in range(1000):
            (root / split / f'n{label:08d}').mkdir(parents=True)
        for index in range(count):
            rng = image_rng(0, 'imagenet', number, index)
            image = draw_classification_image(rng, index % len(CLASSES), width)[:height]
            # Classes far apart, the last one among them.
            label = 999 * index // max(count - 1, 1)
            _save_jpeg(root / split / f'n{label:08d}' / f'{split}_{index:08d}.JPEG', image)
    return root


def _polygons(mask: np.ndarray) -> list[list[float]]:
    outlines, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    return [outline.flatten().astype(float).tolist() for outline in outlines if len(outline) > 2]


def _annotation(mask: np.ndarray, category: int, crowd: bool) -> dict:
    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    segmentation = _polygons(mask)
    if crowd:
        # Uncompressed run lengths down the columns, background first, as in COCO's files.
        column = mask.flatten(order='F').astype(np.int8)
        borders = np.flatnonzero(np.diff(column, prepend=0)).tolist()
        counts = np.diff([0, *borders, column.size]).tolist()
        segmentation = dict(size=list(mask.shape), counts=counts)
    return dict(
        category_id=category,
        iscrowd=int(crowd),
        area=float(coco_mask.area(code)),
        bbox=[float(value) for value in coco_mask.toBbox(code)],
        segmentation=segmentation,
    )


def write_coco(root: Path, count: int = 2, height: int = 480, width: int = 640) -> Path:
    """``root/{train,val}2017/*.jpg`` with ``root/annotations/instances_{train,val}2017.json``."""
    names = CocoDataset.METAINFO['classes']
    categories = [
        dict(id=number, name=name, supercategory='thing')
        for number, name in zip(COCO_NUMBERS, names, strict=True)
    ]
    (root / 'annotations').mkdir(parents=True)
    for split_number, split in enumerate(('train2017', 'val2017')):
        images, annotations = [], []
        for index in range(count):
            rng = image_rng(0, 'coco', split_number, index)
            scene = draw_scene(rng, width)
            image_id = 100 * split_number + index + 1
            file_name = f'{image_id:012d}.jpg'
            _save_jpeg(root / split / file_name, scene.image[:height])
            images.append(dict(id=image_id, file_name=file_name, height=height, width=width))
            masks = [mask[:height] for mask in scene.masks]
            masks = [mask for mask in masks if _polygons(mask)]
            for number, mask in enumerate(masks):
                annotation = _annotation(mask, COCO_NUMBERS[int(rng.integers(80))], crowd=False)
                annotations.append(dict(annotation, id=1000 * image_id + number, image_id=image_id))
            crowd = np.zeros((height, width), dtype=bool)
            crowd[10:40, 10:120] = True
            annotation = _annotation(crowd, COCO_NUMBERS[0], crowd=True)
            annotations.append(dict(annotation, id=1000 * image_id + 999, image_id=image_id))
        content = dict(images=images, annotations=annotations, categories=categories)
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))
    return root


def write_ade20k(root: Path, count: int = 2, height: int = 512, width: int = 683) -> Path:
    """``root/{images,annotations}/{training,validation}/ADE_*``; class maps uint8, 0 to 150."""
    for number, (split, short) in enumerate((('training', 'train'), ('validation', 'val'))):
        (root / 'annotations' / split).mkdir(parents=True)
        for index in range(count):
            rng = image_rng(0, 'ade20k', number, index)
            scene = draw_scene(rng, width)
            name = f'ADE_{short}_{index + 1:08d}'
            _save_jpeg(root / 'images' / split / f'{name}.jpg', scene.image[:height])
            # Nine values of the drawing to nine of ADE20K's, unlabelled and the last class too.
            values = rng.choice(np.arange(1, ADE20K_CLASSES), size=9, replace=False)
            values[0], values[-1] = 0, ADE20K_CLASSES
            labels = values.astype(np.uint8)[scene.label_map[:height]]
            assert cv2.imwrite(str(root / 'annotations' / split / f'{name}.png'), labels)
    return root


def write_for(config: str, root: Path) -> Path:
    """The data that a full-size config is for, by the folder the config is in."""
    folder = config.split('/')[0]
    write = dict(detection=write_coco, segmentation=write_ade20k).get(folder, write_imagenet)
    return root if root.exists() else write(root)


def data_options(config: str, root: Path) -> dict[str, object]:
    """The ``--cfg-options`` that let a config read data at ``root``, without worker processes."""
    folder = config.split('/')[0]
    supervised = folder in ('classification', 'detection', 'segmentation')
    options: dict[str, object] = {}
    for loader in ('train_dataloader', 'val_dataloader') if supervised else ('train_dataloader',):
        options[f'{loader}.dataset.data_root'] = root
        options[f'{loader}.num_workers'] = 0
        options[f'{loader}.persistent_workers'] = False
    if folder == 'detection':
        options['val_evaluator.ann_file'] = root / 'annotations' / 'instances_val2017.json'
    return options
