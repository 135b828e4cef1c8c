"""Drawings of held-out data, at the end of a run and, for trackers, while it trains."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from symmim_mm.datasets.samplers.seeding import seed_everything
from symmim_mm.engine.faults import tolerate
from symmim_mm.registry import HOOKS
from symmim_mm.utils.dist import unwrap
from symmim_mm.visualization.embeddings import thumbnail
from symmim_mm.visualization.images import save, side_by_side, titled
from symmim_mm.visualization.predictions import (
    draw_detection,
    draw_reconstruction,
    draw_segmentation,
)

FOLDER = 'images'
OVER_TIME = 'over_time.png'
TIMES = 10  # while training
SIDE = 112  # pixels of an image in OVER_TIME


@HOOKS.register_module()
class ImagesHook(Hook):
    """Draws a few held-out images after training into ``<work_dir>/images/``.

    A pre-training with the contrastive loss alone reconstructs nothing, and nothing is drawn.

    Args:
        kind: ``'reconstruction'``, ``'detection'`` or ``'segmentation'``.
        count: number of images, spread evenly over the dataset.
        dataset: config of the held-out data; the validation set by default.
        while_training: draw them ``TIMES`` times on the way, too, for the trackers of the run, and
            reconstructions side by side in ``images/over_time.png``; not of a model that is
            sharded.
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
        """Draw the images as they are now, on rank 0."""
        due = self.while_training and is_due(runner)
        if not due or not is_main_process() or hasattr(runner, 'whole_model'):
            return
        work_dir = Path(runner.work_dir)
        with tolerate(runner.logger, 'held-out images are not drawn'):
            for number, image in self._drawings(runner, unwrap(runner.model)):
                runner.visualizer.add_image(f'held_out_{number}', image, runner.iter + 1)
                save(work_dir / FOLDER / f'{number}.png', image)
            if self.draw is draw_reconstruction:
                draw_over_time(work_dir)
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
            with tolerate(runner.logger, f'image {number} is not drawn'):
                yield number, self.draw(model, self.held_out, int(index))


def is_due(runner: Runner) -> bool:
    """Return whether a run has come to one of about ``TIMES`` steps, evenly spaced."""
    return (runner.iter + 1) % max(1, runner.max_iters // TIMES) == 0


def draw_over_time(work_dir: Path) -> None:
    """Draw images and their reconstructions after each step that was drawn, in all attempts."""
    columns: dict[str, dict[int, np.ndarray]] = {'image': {}}
    files = work_dir.glob('*/vis_data/vis_image/held_out_*_*.png')
    for path in sorted(files, key=lambda path: (int(path.stem.split('_')[3]), path)):
        image = cv2.imread(os.fsencode(path))
        if image is not None:  # else cut off as the run was killed
            panels = np.array_split(image[..., ::-1], 3, axis=1)
            _, _, number, step = path.stem.split('_')
            columns['image'][int(number)] = thumbnail(panels[0], SIDE)
            columns.setdefault(f'step {step}', {})[int(number)] = thumbnail(panels[2], SIDE)
    numbers = sorted(columns['image'])
    if numbers:
        drawn = [
            titled(name, np.concatenate([column[number] for number in numbers]))
            for name, column in columns.items()
            if len(column) == len(numbers)
        ]
        save(work_dir / FOLDER / OVER_TIME, side_by_side(*drawn))
