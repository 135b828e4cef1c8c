"""Drawings of what a model predicts for samples of a dataset."""

import cv2
import numpy as np
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from symmim_mm.visualization import images as vis

SCORE = 0.3  # of a detection, to be drawn


def draw_reconstruction(model: BaseModel, dataset: Dataset, index: int) -> np.ndarray:
    """Return original, masked and reconstructed image next to each other, uint8 ``(H, W, 3)``."""
    return vis.reconstruct(model, dataset[index]['inputs'][None])[0]


def draw_detection(model: BaseModel, dataset: Dataset, index: int) -> np.ndarray:
    """Return annotated and predicted instances next to each other, uint8 ``(H, W, 3)``.

    They are drawn on the image as the model saw it.
    """
    from mmdet.datasets.transforms import LoadAnnotations

    sample = dataset[index]
    info = dataset.get_data_info(index)
    info['ori_shape'] = info['height'], info['width']
    masked = model.with_mask
    annotated = LoadAnnotations(with_bbox=True, with_mask=masked)(info)
    scale_x, scale_y = sample['data_samples'].metainfo.get('scale_factor', (1.0, 1.0))
    # Without the padding that a pipeline may have put at the right and below.
    image = _rgb(sample)[: round(info['height'] * scale_y), : round(info['width'] * scale_x)]
    image = np.ascontiguousarray(image)
    scale = np.array([scale_x, scale_y, scale_x, scale_y])
    found = _predict(model, sample).pred_instances
    found = found[found.scores >= SCORE].cpu().numpy()
    drawn = []
    truth = annotated['gt_bboxes'].tensor.numpy(), annotated['gt_bboxes_labels']
    for (boxes, labels), masks, scores in (
        (truth, annotated['gt_masks'].masks if masked else None, None),
        ((found.bboxes, found.labels), found.masks if masked else None, found.scores),
    ):
        if masks is not None:
            masks = [_resize(mask, image) for mask in masks]
        classes = dataset.metainfo['classes']
        drawn.append(vis.draw_instances(image, boxes * scale, labels, masks, classes, scores))
    return vis.side_by_side(*drawn)


def draw_segmentation(model: BaseModel, dataset: Dataset, index: int) -> np.ndarray:
    """Return image, annotation and prediction next to each other, uint8 ``(H, W, 3)``."""
    sample = dataset[index]
    image = _rgb(sample)
    truth = sample['data_samples'].gt_sem_seg.data[0].numpy()
    guess = _predict(model, sample).pred_sem_seg.data[0].cpu().numpy()
    if truth.shape != image.shape[:2]:
        # The annotation keeps the original size; show everything at that of the image.
        truth, guess = (_resize(labels, image) for labels in (truth, guess))
    return vis.side_by_side(
        vis.enlarge(image), vis.draw_segmentation(image, truth), vis.draw_segmentation(image, guess)
    )


def _predict(model: BaseModel, sample: dict) -> BaseDataElement:
    batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    return model.test_step(batch)[0]


def _rgb(sample: dict) -> np.ndarray:
    # MMDetection and MMSegmentation load BGR.
    return np.ascontiguousarray(sample['inputs'].permute(1, 2, 0).numpy()[..., ::-1])


def _resize(labels: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Resize a mask or label map to the size of an image, by nearest neighbor."""
    size = (image.shape[1], image.shape[0])
    return cv2.resize(labels.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
