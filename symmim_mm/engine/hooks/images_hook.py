"""Pictures of held-out data at the end of a run."""

from pathlib import Path

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import Dataset

from symmim_mm.datasets.samplers.seeding import seed_everything
from symmim_mm.datasets.transforms.decode_region import PictureError
from symmim_mm.registry import HOOKS
from symmim_mm.visualization import images as vis

FOLDER = 'pictures'
SCORE = 0.3


@HOOKS.register_module()
class PicturesHook(Hook):
    """Draws a few held-out pictures after training into ``<work_dir>/pictures/``.

    Args:
        kind: ``'reconstruction'``, ``'detection'`` or ``'segmentation'``.
        count: number of pictures, spread evenly over the data set.
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
        # Now, and in every process: a folder that is not there must not be found out at the end.
        if self.dataset is not None:
            self.held_out = DATASETS.build(self.dataset)
        else:
            self.held_out = runner.val_loop.dataloader.dataset

    def after_train(self, runner: Runner) -> None:
        if hasattr(runner, 'whole_model'):  # a model that is shared out
            model = runner.whole_model()
        else:
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if is_main_process():
            self._draw(runner, model)

    def _draw(self, runner: Runner, model: BaseModel) -> None:
        dataset = self.held_out
        # The masks of the pictures are the same for every run with this seed.
        seed_everything(runner.seed)
        model.eval()
        chosen = np.linspace(0, len(dataset) - 1, min(self.count, len(dataset))).astype(int)
        with torch.no_grad():
            for place, index in enumerate(chosen):
                try:
                    picture = self.draw(model, dataset, int(index))
                except PictureError as error:  # days of training do not end over a picture
                    runner.logger.warning(f'picture {place} is not drawn: {error}')
                    continue
                vis.save(Path(runner.work_dir, FOLDER, f'{place}.png'), picture)


def draw_reconstruction(model: BaseModel, dataset: Dataset, index: int) -> np.ndarray:
    """Original, masked and reconstructed picture side by side."""
    return vis.reconstruct(model, dataset[index]['inputs'][None])[0]


def _predict(model: BaseModel, sample: dict):
    batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    return model.test_step(batch)[0]


def _rgb(sample: dict) -> np.ndarray:
    # MMDetection and MMSegmentation load BGR.
    return np.ascontiguousarray(sample['inputs'].permute(1, 2, 0).numpy()[..., ::-1])


def draw_detection(model: BaseModel, dataset: Dataset, index: int) -> np.ndarray:
    """Annotated and predicted instances side by side, in the pixels the model saw."""
    from mmdet.datasets.transforms import LoadAnnotations

    sample = dataset[index]
    info = dataset.get_data_info(index)
    info['ori_shape'] = info['height'], info['width']
    annotated = LoadAnnotations(with_bbox=True, with_mask=True)(info)
    scale_x, scale_y = sample['data_samples'].metainfo.get('scale_factor', (1.0, 1.0))
    # Without the padding that a pipeline may have put at the right and below.
    image = _rgb(sample)[: round(info['height'] * scale_y), : round(info['width'] * scale_x)]
    image = np.ascontiguousarray(image)
    height, width = image.shape[:2]
    classes = dataset.metainfo['classes']
    scale = np.array([scale_x, scale_y, scale_x, scale_y])
    boxes = annotated['gt_bboxes'].tensor.numpy() * scale
    masks = [_resize(mask, image) for mask in annotated['gt_masks'].masks]
    masks = np.array(masks).reshape(-1, height, width)
    labels = annotated['gt_bboxes_labels']
    truth = vis.draw_instances(image, boxes, labels, masks, classes)

    found = _predict(model, sample).pred_instances
    found = found[found.scores >= SCORE].cpu().numpy()
    masks = np.array([_resize(mask, image) for mask in found.masks]).reshape(-1, height, width)
    guess = vis.draw_instances(
        image, found.bboxes * scale, found.labels, masks, classes, found.scores
    )
    return vis.side_by_side(truth, guess)


def _resize(mask: np.ndarray, image: np.ndarray) -> np.ndarray:
    import cv2

    size = (image.shape[1], image.shape[0])
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)


def draw_segmentation(model: BaseModel, dataset: Dataset, index: int) -> np.ndarray:
    """Picture, truth and prediction side by side."""
    sample = dataset[index]
    image = _rgb(sample)
    truth = sample['data_samples'].gt_sem_seg.data[0].numpy()
    guess = _predict(model, sample).pred_sem_seg.data[0].cpu().numpy()
    if truth.shape != image.shape[:2]:
        # The annotation keeps the original size; show everything at that of the picture.
        truth, guess = (_resize_labels(labels, image) for labels in (truth, guess))
    return vis.side_by_side(
        vis.enlarge(image), vis.draw_segmentation(image, truth), vis.draw_segmentation(image, guess)
    )


def _resize_labels(labels: np.ndarray, image: np.ndarray) -> np.ndarray:
    import cv2

    size = (image.shape[1], image.shape[0])
    return cv2.resize(labels.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
