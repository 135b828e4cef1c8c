"""Health of a pre-training in its log, for a small share of its time."""

import time

import torch
from mmengine.dataset import default_collate
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from symmim_mm.datasets.samplers.seeding import seed_everything
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.models.health import measure_health
from symmim_mm.registry import HOOKS
from symmim_mm.utils.dist import unwrap


@HOOKS.register_module()
class HealthHook(Hook):
    """Logs what :func:`measure_health` finds on the same images again and again, on rank 0.

    Before the first step, after the last one, and in between whenever that takes no more than
    ``share`` of the time. Nothing that the training draws depends on it. A model that is sharded
    (``--fsdp``) is not measured.

    Args:
        images: number of them, spread evenly over the dataset.
        share: of the training's time, at most.
        dataset: config of held-out images; the training images by default, with the crops of
            their pipeline.
    """

    priority = 'LOW'  # after the optimizer's and the momentum branch's step

    def __init__(self, images: int = 128, share: float = 0.01, dataset: dict | None = None) -> None:
        self.images = images
        self.share = share
        self.dataset = dataset
        self.batch: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Open the held-out images in every process; read and measure them in the first."""
        held_out = DATASETS.build(self.dataset) if self.dataset is not None else None
        if not is_main_process() or hasattr(runner, 'strategy'):
            return
        source = held_out if held_out is not None else runner.train_loop.dataloader.dataset
        seed_everything(runner.seed)
        self.batch = self._read(runner, source)
        if self.batch is not None:
            self._measure(runner)

    def after_train_iter(self, runner: Runner, **_: object) -> None:
        """Measure, if enough time has passed."""
        if self.batch is not None and time.monotonic() >= self.due:
            self._measure(runner)

    def after_train(self, runner: Runner) -> None:
        """Measure the trained model."""
        if self.batch is not None:
            self._measure(runner)

    def _read(self, runner: Runner, source: torch.utils.data.Dataset) -> dict | None:
        count = min(self.images, len(source))
        samples = []
        for number in range(count):
            try:
                samples.append(source[number * len(source) // count])
            except ImageError as error:
                runner.logger.warning(f'health: an image is left out: {error}')
        if len(samples) < 2:
            runner.logger.warning('health: not measured, two images at least are needed')
            return None
        return default_collate(samples)

    def _measure(self, runner: Runner) -> None:
        start = time.monotonic()
        seed_everything(runner.seed)  # the same masks and views every time
        figures = measure_health(unwrap(runner.model), self.batch)
        for name, value in figures.items():
            runner.visualizer.add_scalar(f'health/{name}', value, runner.iter)
        text = ', '.join(f'{name} {value:.4g}' for name, value in figures.items())
        runner.logger.info(f'health after {runner.iter} iterations: {text}')
        now = time.monotonic()
        self.due = now + (now - start) * (1 / self.share - 1)
