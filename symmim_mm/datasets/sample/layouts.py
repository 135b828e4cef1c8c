"""Lay generated images out as an ImageNet folder, COCO instances and ADE20K label maps."""

import json
from operator import itemgetter
from typing import NamedTuple

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from symmim_mm.datasets.sample.scenes import CLASSES, Scene, draw_classification_image, draw_scene
from symmim_mm.datasets.sample.shapes import SHAPES

VERSION = 1  # raise it with every change that alters a byte of the files
COCO_ID_STEP = 1_000_000  # image ids of the second split start here
ANNOTATIONS_PER_IMAGE = 100  # ids set aside for the annotations of one image

Files = dict[str, bytes]
"""What files hold, by their paths."""
Drawn = tuple[Files, list[dict]]
"""The files of images, and their annotations of COCO."""


def image_rng(seed: int, part: str, split: int, index: int) -> np.random.Generator:
    """Return the random generator of one image; ``split`` is 0 for training."""
    sequence = np.random.SeedSequence([seed, list(PARTS).index(part), split, index])
    return np.random.Generator(np.random.PCG64(sequence))


def _encode(image: np.ndarray) -> bytes:
    """Encode a gray ``(S, S)`` or RGB ``(S, S, 3)`` uint8 image as PNG."""
    if image.ndim == 3:
        image = image[..., ::-1]
    return cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


class Batch(NamedTuple):
    """Images of ``size`` pixels: those of ``indices`` in a split, ``split`` is 0 for training."""

    part: str
    split: int
    name: str
    size: int
    indices: range


def _imagenet_image(rng: np.random.Generator, batch: Batch, index: int) -> Drawn:
    label = index % len(CLASSES)
    image = draw_classification_image(rng, label, batch.size)
    return {f'imagenet/{batch.name}/{CLASSES[label]}/{index:06d}.png': _encode(image)}, []


def coco_annotations(scene: Scene, image_id: int) -> list[dict]:
    """Return the COCO annotations of a scene.

    Masks are compressed RLE with ``iscrowd`` 0: a polygon can neither leave a hole (ring) nor
    follow the pixels exactly, an RLE does both, and pycocotools and MMDetection's bitmap masks
    (``poly2mask=True``, the default) take it like a polygon.
    """
    annotations = []
    for number, (label, mask) in enumerate(zip(scene.labels, scene.masks, strict=True)):
        code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        annotations.append(
            {
                'id': image_id * ANNOTATIONS_PER_IMAGE + number,
                'image_id': image_id,
                'category_id': label + 1,
                'iscrowd': 0,
                'area': int(coco_mask.area(code)),
                'bbox': [int(value) for value in coco_mask.toBbox(code)],
                'segmentation': {'size': code['size'], 'counts': code['counts'].decode('ascii')},
            }
        )
    return annotations


def _coco_image(rng: np.random.Generator, batch: Batch, index: int) -> Drawn:
    scene = draw_scene(rng, batch.size)
    image_id = batch.split * COCO_ID_STEP + index + 1
    files = {f'coco/{batch.name}/{image_id:012d}.png': _encode(scene.image)}
    return files, coco_annotations(scene, image_id)


def coco_index(name: str, size: int, split: int, count: int, annotations: list[dict]) -> Files:
    """Return the annotation file of a split of ``count`` images."""
    images = [
        {'id': image_id, 'file_name': f'{image_id:012d}.png', 'width': size, 'height': size}
        for image_id in range(split * COCO_ID_STEP + 1, split * COCO_ID_STEP + 1 + count)
    ]
    categories = [
        {'id': number, 'name': shape, 'supercategory': 'shape'}
        for number, shape in enumerate(SHAPES, start=1)
    ]
    content = {
        'info': {'description': 'generated shapes', 'version': str(VERSION)},
        'licenses': [],
        'images': images,
        'annotations': sorted(annotations, key=itemgetter('id')),
        'categories': categories,
    }
    return {f'coco/annotations/instances_{name}.json': json.dumps(content).encode()}


def _ade20k_image(rng: np.random.Generator, batch: Batch, index: int) -> Drawn:
    scene = draw_scene(rng, batch.size)
    file = f'{batch.name}/sample_{("train", "val")[batch.split]}_{index + 1:08d}.png'
    images = {
        f'ade20k/images/{file}': _encode(scene.image),
        f'ade20k/annotations/{file}': _encode(scene.label_map),
    }
    return images, []


PARTS = {'imagenet': _imagenet_image, 'coco': _coco_image, 'ade20k': _ade20k_image}


def draw(batch: Batch, seed: int) -> Drawn:
    """Draw images; return their files and annotations of COCO."""
    files: Files = {}
    annotations = []
    for index in batch.indices:
        rng = image_rng(seed, batch.part, batch.split, index)
        images, found = PARTS[batch.part](rng, batch, index)
        files |= images
        annotations += found
    return files, annotations
