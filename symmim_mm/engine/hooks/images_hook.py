"""Drawings of held-out data at the end of a run."""

from pathlib import Path

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from symmim_mm.datasets.samplers.seeding import seed_everything
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.registry import HOOKS
from symmim_mm.utils.dist import unwrap
from symmim_mm.visualization.images import save
from symmim_mm.visualization.predictions import (
    draw_detection,
    draw_reconstruction,
    draw_segmentation,
)

FOLDER = 'images'


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
                except ImageError as error:  # no reason to lose days of training
                    runner.logger.warning(f'image {number} is not drawn: {error}')
                    continue
                save(Path(runner.work_dir, FOLDER, f'{number}.png'), image)
