"""Drawings of held-out data at the end of a run."""

from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from symmim_mm.datasets.samplers.seeding import seed_everything
from symmim_mm.datasets.transforms.decode_region import PictureError
from symmim_mm.registry import HOOKS
from symmim_mm.utils.dist import unwrap
from symmim_mm.visualization import images as vis

FOLDER = 'images'
SCORE = 0.3


@HOOKS.register_module()
class ImagesHook(Hook):
    """Draws a few held-out images after training into ``<work_dir>/images/``.

    Args:
        kind: ``'reconstruction'``, ``'detection'`` or ``'segmentation'``.
        count: number of images, spread evenly over the dataset.
        dataset: config of the held-out data; the validation set by default.
    """

    def __init__(self, kind: str, count: int = 6, dataset: dict | None = None) -> None:
        self.draw = dict(
            reconstruction=draw_reconstruction,
            detection=draw_detection,
            segmentation=draw_segmentation,
        )[kind]
        self.count = count
        self.dataset = dataset

    def before_train(self, runner: Runner) -> None:
        """Open the dataset in every process: a missing folder must be noticed at the start."""
        if self.dataset is not None:
            self.held_out = DATASETS.build(self.dataset)
        else:
            self.held_out = runner.val_loop.dataloader.dataset

    def after_train(self, runner: Runner) -> None:
        """Draw the images on rank 0."""
        sharded = hasattr(runner, 'whole_model')
        model = runner.whole_model() if sharded else unwrap(runner.model)
        if not is_main_process():
            return
        seed_everything(runner.seed)  # the masks are the same for every run with this seed
        model.eval()
        count = min(self.count, len(self.held_out))
        chosen = np.linspace(0, len(self.held_out) - 1, count).astype(int)
        with torch.no_grad():
            for number, index in enumerate(chosen):
                try:
                    image = self.draw(model, self.held_out, int(index))
                except PictureError as error:  # no reason to lose days of training
                    runner.logger.warning(f'image {number} is not drawn: {error}')
                    continue
                vis.save(Path(runner.work_dir, FOLDER, f'{number}.png'), image)


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
    annotated = LoadAnnotations(with_bbox=True, with_mask=True)(info)
    scale_x, scale_y = sample['data_samples'].metainfo.get('scale_factor', (1.0, 1.0))
    # Without the padding that a pipeline may have put at the right and below.
    image = _rgb(sample)[: round(info['height'] * scale_y), : round(info['width'] * scale_x)]
    image = np.ascontiguousarray(image)
    scale = np.array([scale_x, scale_y, scale_x, scale_y])
    found = _predict(model, sample).pred_instances
    found = found[found.scores >= SCORE].cpu().numpy()
    drawn = []
    for boxes, labels, masks, scores in (
        (
            annotated['gt_bboxes'].tensor.numpy(),
            annotated['gt_bboxes_labels'],
            annotated['gt_masks'].masks,
            None,
        ),
        (found.bboxes, found.labels, found.masks, found.scores),
    ):
        masks = np.array([_resize(mask, image) for mask in masks], bool)
        masks = masks.reshape(-1, *image.shape[:2])
        classes = dataset.metainfo['classes']
        drawn.append(vis.draw_instances(image, boxes * scale, labels, masks, classes, scores))
    return vis.beside(*drawn)


def draw_segmentation(model: BaseModel, dataset: Dataset, index: int) -> np.ndarray:
    """Return image, annotation and prediction next to each other, uint8 ``(H, W, 3)``."""
    sample = dataset[index]
    image = _rgb(sample)
    truth = sample['data_samples'].gt_sem_seg.data[0].numpy()
    guess = _predict(model, sample).pred_sem_seg.data[0].cpu().numpy()
    if truth.shape != image.shape[:2]:
        # The annotation keeps the original size; show everything at that of the image.
        truth, guess = (_resize(labels, image) for labels in (truth, guess))
    return vis.beside(
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
