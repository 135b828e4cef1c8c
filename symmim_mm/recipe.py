"""A training recipe per global batch, turned into the settings of one process.

A config states once what a paper states: epochs, global batch, learning rate and the batch it
belongs to. What one process needs (its batch, accumulation, the scaled rate, the schedulers)
follows from the number of processes, so 1, 8 or 64 GPUs train the same recipe.
"""

import math
from dataclasses import dataclass, fields

from mmengine.config import Config

from symmim_mm.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """Settings of a pre-training or fine-tuning.

    Args:
        epochs: passes over the data.
        batch: pictures per optimizer step, over all processes and accumulated micro-batches.
        lr: learning rate at a batch of ``lr_batch``; scaled linearly to ``batch``.
        lr_batch: see ``lr``.
        warmup_epochs: of linear warm-up from (nearly) 0.
        min_lr: end of the cosine, not scaled.
        milestones, gamma: step decay at these epochs in place of the cosine, if given.
        max_batch_per_gpu: more pictures than this per process and step are accumulated.
    """

    epochs: int
    batch: int
    lr: float
    lr_batch: int
    warmup_epochs: float = 0
    min_lr: float = 0.0
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    max_batch_per_gpu: int = 256

    @property
    def scaled_lr(self) -> float:
        """Peak learning rate of the run."""
        return self.lr * self.batch / self.lr_batch

    def split(self, processes: int) -> tuple[int, int]:
        """Batch of one process and number of micro-batches to accumulate.

        Raises:
            UserError: the global batch cannot be split evenly over the processes.
        """
        per_process, rest = divmod(self.batch, processes)
        if rest or not per_process:
            raise UserError(
                f'a global batch of {self.batch} cannot be split over {processes} processes: '
                'choose a divisor of it, or another recipe.batch'
            )
        steps = math.ceil(per_process / self.max_batch_per_gpu)
        while per_process % steps:
            steps += 1
        return per_process // steps, steps

    def schedulers(self) -> list[dict]:
        """MMEngine schedulers: warm-up, then cosine or steps, updated every iteration."""
        found: list[dict] = []
        if self.warmup_epochs:
            found.append(
                dict(
                    type='LinearLR',
                    start_factor=1e-4,
                    by_epoch=True,
                    begin=0,
                    end=self.warmup_epochs,
                    convert_to_iter_based=True,
                )
            )
        if self.milestones:
            found.append(
                dict(
                    type='MultiStepLR',
                    by_epoch=True,
                    milestones=list(self.milestones),
                    gamma=self.gamma,
                )
            )
        else:
            found.append(
                dict(
                    type='CosineAnnealingLR',
                    T_max=self.epochs - self.warmup_epochs,
                    eta_min=self.min_lr,
                    by_epoch=True,
                    begin=self.warmup_epochs,
                    end=self.epochs,
                    convert_to_iter_based=True,
                )
            )
        return found


def apply_recipe(cfg: Config, processes: int) -> None:
    """Write ``cfg.recipe`` into the parts of ``cfg`` that MMEngine reads; none is no change.

    Raises:
        UserError: an unknown or missing field, or numbers that cannot work.
    """
    if 'recipe' not in cfg:
        return
    known = {item.name for item in fields(Recipe)}
    settings = dict(cfg.recipe)
    if unknown := set(settings) - known:
        raise UserError(f'recipe has no {sorted(unknown)}; it knows {sorted(known)}')
    try:
        recipe = Recipe(**settings)
    except TypeError as error:
        raise UserError(f'recipe is incomplete: {error}') from error
    positive = (recipe.epochs, recipe.batch, recipe.lr, recipe.lr_batch, recipe.max_batch_per_gpu)
    if min(positive) <= 0 or not 0 <= recipe.warmup_epochs < recipe.epochs:
        raise UserError(
            'recipe needs positive epochs, batch, lr, lr_batch and max_batch_per_gpu, and fewer '
            f'warmup_epochs than epochs, got {settings}'
        )
    micro_batch, accumulation = recipe.split(processes)
    cfg.train_cfg.max_epochs = recipe.epochs
    cfg.train_dataloader.batch_size = micro_batch
    cfg.optim_wrapper.accumulative_counts = accumulation
    cfg.optim_wrapper.optimizer.lr = recipe.scaled_lr
    cfg.param_scheduler = recipe.schedulers()
