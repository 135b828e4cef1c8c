"""Drawings of held-out data, at the end of a run and, for trackers, while it trains."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseModel
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
TIMES = 10  # while training


@HOOKS.register_module()
class ImagesHook(Hook):
    """Draws a few held-out images after training into ``<work_dir>/images/``.

    A pre-training with the contrastive loss alone reconstructs nothing, and nothing is drawn.

    Args:
        kind: ``'reconstruction'``, ``'detection'`` or ``'segmentation'``.
        count: number of images, spread evenly over the dataset.
        dataset: config of the held-out data; the validation set by default.
        while_training: draw them ``TIMES`` times on the way, too, for the trackers of the run;
            not of a model that is sharded.
    """

    def __init__(
        self,
        kind: str,
        count: int = 6,
        dataset: dict | None = None,
        while_training: bool = False,
    ) -> None:
        self.draw = dict(
            reconstruction=draw_reconstruction,
            detection=draw_detection,
            segmentation=draw_segmentation,
        )[kind]
        self.count = count
        self.dataset = dataset
        self.while_training = while_training

    def before_train(self, runner: Runner) -> None:
        """Open the dataset in every process: a missing folder must be noticed at the start."""
        if self.dataset is not None:
            self.held_out = DATASETS.build(self.dataset)
        else:
            self.held_out = runner.val_loop.dataloader.dataset

    def after_train_iter(self, runner: Runner, **_: object) -> None:
        """Draw the images for the trackers, on rank 0."""
        step = runner.iter + 1
        due = self.while_training and step % max(1, runner.max_iters // TIMES) == 0
        if not due or not is_main_process() or hasattr(runner, 'whole_model'):
            return
        for number, image in self._drawings(runner, unwrap(runner.model)):
            runner.visualizer.add_image(f'held_out_{number}', image, step)
        runner.model.train()

    def after_train(self, runner: Runner) -> None:
        """Write the images on rank 0."""
        sharded = hasattr(runner, 'whole_model')
        model = runner.whole_model() if sharded else unwrap(runner.model)
        if not is_main_process():
            return
        for number, image in self._drawings(runner, model):
            save(Path(runner.work_dir, FOLDER, f'{number}.png'), image)

    @torch.no_grad()
    def _drawings(self, runner: Runner, model: BaseModel) -> Iterator[tuple[int, np.ndarray]]:
        # The masks are the same for every run with this seed. Training does not notice: every
        # step seeds itself (ExactResumeHook).
        if not getattr(model, 'with_head', True):
            return
        seed_everything(runner.seed)
        model.eval()
        count = min(self.count, len(self.held_out))
        chosen = np.linspace(0, len(self.held_out) - 1, count).astype(int)
        for number, index in enumerate(chosen):
            try:
                yield number, self.draw(model, self.held_out, int(index))
            except ImageError as error:  # no reason to lose days of training
                runner.logger.warning(f'image {number} is not drawn: {error}')
