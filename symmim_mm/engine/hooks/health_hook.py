"""Health of a pre-training in its log, for a small share of its time."""

import time

import torch
from mmengine.dataset import default_collate
from mmengine.dist import get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from symmim_mm.datasets.samplers.seeding import seed_everything, seed_step
from symmim_mm.engine.faults import tolerate
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
        images: number of them: of the first batch of this process, or of ``dataset``.
        share: of the training's time, at most; with 0 only at the start and at the end.
        dataset: config of held-out images, which are read here, without loader workers.
    """

    priority = 'LOW'  # after the optimizer's and the momentum branch's step

    def __init__(self, images: int = 128, share: float = 0.01, dataset: dict | None = None) -> None:
        self.images = images
        self.share = share
        self.dataset = dataset
        self.batch: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Open the held-out images in every process; read them in the first."""
        held_out = DATASETS.build(self.dataset) if self.dataset is not None else None
        self.measures = is_main_process() and not hasattr(runner, 'strategy')
        if self.measures and held_out is not None:
            self.batch = self._read(runner, held_out)
            self.measures = self.batch is not None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict) -> None:
        """Measure the model as it starts, on the first batch if there are no other images."""
        if self.measures and not hasattr(self, 'due'):
            if self.batch is None:
                # An image that no decoder survives has killed a loader worker, not this process.
                self.batch = dict(inputs=data_batch['inputs'][: self.images])
            self._measure(runner, runner.iter)
            seed_step(runner.seed, runner.iter, get_rank())  # as ExactResumeHook has just done

    def after_train_iter(self, runner: Runner, **_: object) -> None:
        """Measure, if enough time has passed."""
        if self.measures and time.monotonic() >= self.due:
            self._measure(runner, runner.iter + 1)

    def after_train(self, runner: Runner) -> None:
        """Measure the trained model."""
        if self.measures and self.batch is not None:
            self._measure(runner, runner.iter)

    def _read(self, runner: Runner, source: torch.utils.data.Dataset) -> dict | None:
        count = min(self.images, len(source))
        samples = []
        for number in range(count):
            with tolerate(runner.logger, 'health: an image is left out'):
                samples.append(source[number * len(source) // count])
        if len(samples) < 2:
            runner.logger.warning('health: not measured, two images at least are needed')
            return None
        return default_collate(samples)

    def _measure(self, runner: Runner, done: int) -> None:
        start = time.monotonic()
        seed_everything(runner.seed)  # the same masks and views every time
        try:
            figures = measure_health(unwrap(runner.model), self.batch)
        except (ValueError, torch.linalg.LinAlgError) as error:
            # Images or weights that are not finite: steps are skipped for them elsewhere.
            runner.logger.warning(f'health after {done} iterations: {error!s:.200}')
            figures = {}
        with tolerate(runner.logger, 'health is not written'):
            for name, value in figures.items():
                runner.visualizer.add_scalar(f'health/{name}', value, done)
        if figures:
            text = ', '.join(f'{name} {value:.4g}' for name, value in figures.items())
            runner.logger.info(f'health after {done} iterations: {text}')
        now = time.monotonic()
        self.due = now + (now - start) * (1 / max(self.share, 1e-9) - 1)
