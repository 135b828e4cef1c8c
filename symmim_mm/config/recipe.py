"""A training recipe for a global batch, and the settings of one process that follow from it.

A config states once what a paper states: length, global batch, learning rate and the batch it
belongs to. What one process needs (its batch, accumulation, the scaled learning rate, the
schedulers) follows from the number of processes, so 1, 8 or 64 GPUs train the same recipe.
"""

import math
from typing import Annotated, Literal, Self

from mmengine.config import Config
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from symmim_mm.utils.errors import UserError, from_validation_error

LIMIT = 1 << 31
Count = Annotated[int, Field(ge=1, lt=LIMIT)]
Positive = Annotated[float, Field(gt=0, lt=LIMIT)]
NotNegative = Annotated[float, Field(ge=0, lt=LIMIT)]


class Recipe(BaseModel):
    """Settings of a pre-training or transfer. Iterations are optimizer steps.

    Args:
        batch: images per optimizer step, over all processes and accumulated micro-batches.
        lr: learning rate at a batch of ``lr_batch``; scaled linearly to ``batch``.
        lr_batch: see ``lr``.
        epochs: passes over the data; or
        iterations: optimizer steps, for recipes that count these. Exactly one of the two.
        warmup_epochs: length of the linear warm-up; needs ``epochs``, and may be a fraction.
        warmup_iterations: the same, counted in optimizer steps.
        warmup_start: first learning rate of the warm-up, as a fraction of the peak.
        schedule: after the warm-up ``'cosine'`` or ``'linear'`` down to ``min_lr``, or
            ``'step'``: times ``gamma`` at each of ``milestones``.
        min_lr: last learning rate, not scaled with the batch; a parameter group of a reduced
            learning rate (layer decay) ends at its own fraction of it (MAE ``util/lr_sched.py``).
        milestones: see ``schedule``; in epochs or iterations, as the length is.
        gamma: see ``schedule``.
        max_batch_per_gpu: more images than this per process and step are accumulated.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra='forbid')

    batch: Count
    lr: Positive
    lr_batch: Count
    epochs: Count | None = None
    iterations: Count | None = None
    warmup_epochs: NotNegative = 0
    warmup_iterations: Annotated[int, Field(ge=0, lt=LIMIT)] = 0
    warmup_start: Annotated[float, Field(gt=0, le=1)] = 1e-4
    schedule: Literal['cosine', 'linear', 'step'] = 'cosine'
    min_lr: NotNegative = 0.0
    milestones: Annotated[tuple[Count, ...], Field(strict=False)] = ()
    gamma: Annotated[float, Field(gt=-LIMIT, lt=LIMIT)] = 0.1
    max_batch_per_gpu: Count = 256

    @model_validator(mode='after')
    def _check_combinations(self) -> Self:
        length = self.epochs if self.by_epoch else self.iterations
        warmup = self.warmup_epochs if self.by_epoch else self.warmup_iterations
        steps = self.schedule == 'step'
        peak = self.scaled_lr
        mistakes = {
            'set either epochs or iterations, exactly one of them': (
                (self.epochs is None) == (self.iterations is None)
            ),
            "milestones belong to schedule='step', and only there": steps != bool(self.milestones),
            'warmup_epochs needs epochs, and no warmup_iterations next to it': (
                self.warmup_epochs and (self.warmup_iterations or not self.by_epoch)
            ),
            "warmup_iterations with epochs needs schedule='step'": (
                self.warmup_iterations and self.by_epoch and not steps
            ),
            f'a warm-up as long as the whole training ({length}) cannot work': (
                warmup >= (length or math.inf)
            ),
            f'a peak learning rate of {peak} cannot work': not 0 < peak < math.inf,
            f'min_lr {self.min_lr} is more than the peak learning rate {peak:g}': (
                self.schedule == 'linear' and self.min_lr > peak
            ),
        }
        for message, wrong in mistakes.items():
            if wrong:
                raise ValueError(message)
        return self

    @property
    def by_epoch(self) -> bool:
        """Whether the length is counted in epochs."""
        return self.epochs is not None

    @property
    def length(self) -> int:
        """Length of the training in epochs or in optimizer steps."""
        return self.epochs or self.iterations or 0

    @property
    def scaled_lr(self) -> float:
        """Peak learning rate at ``batch``."""
        return self.lr * self.batch / self.lr_batch

    def split(self, processes: int) -> tuple[int, int]:
        """Return the batch of one process and the number of micro-batches to accumulate.

        Raises:
            UserError: the global batch cannot be split evenly over the processes.
        """
        per_process, rest = divmod(self.batch, processes)
        if rest or not per_process:
            raise UserError(
                f'a global batch of {self.batch} cannot be split over {processes} processes: '
                'use a divisor of it, or another recipe.batch'
            )
        # The smallest divisor that is large enough; divisors come in pairs about the root.
        least = math.ceil(per_process / self.max_batch_per_gpu)
        small = (step for step in range(1, math.isqrt(per_process) + 1) if not per_process % step)
        pairs = ((step, per_process // step) for step in small)
        steps = min(step for pair in pairs for step in pair if step >= least)
        return per_process // steps, steps

    def schedulers(self, accumulation: int) -> list[dict]:
        """Return MMEngine's schedulers: warm-up, then the schedule, updated every micro-batch.

        Args:
            accumulation: micro-batches per optimizer step; MMEngine counts micro-batches.
        """
        scale = 1 if self.by_epoch else accumulation
        by_iteration = dict(by_epoch=False)
        count = dict(by_epoch=True, convert_to_iter_based=True) if self.by_epoch else by_iteration
        end = self.length * scale
        # Warm-up iterations may precede a step schedule in epochs, which needs no start.
        start = self.warmup_epochs or self.warmup_iterations * scale
        found: list[dict] = []
        if start:
            steps = self.warmup_iterations * accumulation
            ramp = dict(count, end=start) if self.warmup_epochs else dict(by_iteration, end=steps)
            found.append(dict(type='LinearLR', **ramp, begin=0, start_factor=self.warmup_start))
        span = dict(**count, begin=start, end=end)
        ratio = self.min_lr / self.scaled_lr
        if self.schedule == 'step':
            milestones = [step * scale for step in self.milestones]
            falls = dict(by_epoch=self.by_epoch, milestones=milestones, gamma=self.gamma)
            found.append(dict(type='MultiStepLR', **falls))
        elif self.schedule == 'linear':
            found.append(dict(type='LinearLR', **span, start_factor=1.0, end_factor=ratio))
        else:
            cosine = dict(T_max=end - start, eta_min_ratio=ratio)
            found.append(dict(type='CosineAnnealingLR', **span, **cosine))
        return found

    def describe(self, processes: int) -> str:
        """Return one line for the log: length, batch and learning rate on so many processes."""
        micro_batch, accumulation = self.split(processes)
        length = f'{self.epochs} epochs' if self.by_epoch else f'{self.iterations} iterations'
        return (
            f'recipe: {length} of {self.batch} images per step = {processes} processes x '
            f'{micro_batch} images x {accumulation} micro-batches; peak learning rate '
            f'{self.scaled_lr:g}'
        )


def recipe_of(cfg: Config) -> Recipe:
    """Read and check ``cfg.recipe``.

    Raises:
        UserError: an unknown or missing field, or values that cannot work.
    """
    try:
        return Recipe.model_validate(dict(cfg.recipe))
    except ValidationError as error:
        raise UserError(f'recipe: {from_validation_error(error)}') from error


def averages_weights(hook: dict) -> bool:
    """Return whether the config of a hook is that of MMEngine's average of the weights."""
    return str(hook.get('type')).split('.')[-1] == 'EMAHook'


def apply_recipe(cfg: Config, processes: int) -> None:
    """Write ``cfg.recipe``, if there is one, into the parts of ``cfg`` that MMEngine reads.

    Intervals that a config states in iterations (validation, checkpoints) are optimizer steps,
    too, and become micro-batches here.

    Raises:
        UserError: as :func:`recipe_of`, and a batch that does not split over the processes.
    """
    if cfg.get('recipe') is None:
        return
    recipe = recipe_of(cfg)
    micro_batch, accumulation = recipe.split(processes)
    required = ['train_cfg', 'train_dataloader', 'optim_wrapper', 'optim_wrapper.optimizer']
    for path in required if recipe.by_epoch else [*required, 'default_hooks.checkpoint']:
        part = cfg
        for name in path.split('.'):
            part = part.get(name)
            if not isinstance(part, dict):
                raise UserError(f'recipe needs {path}=dict(...) in the config, got {part!s:.80}')
    if recipe.by_epoch:
        cfg.train_cfg.max_epochs = recipe.epochs
    else:
        cfg.train_cfg.max_iters = recipe.length * accumulation
        intervals = (cfg.train_cfg, 'val_interval'), (cfg.default_hooks.checkpoint, 'interval')
        for part, key in intervals:
            if key in part:
                part[key] *= accumulation
    cfg.train_dataloader.batch_size = micro_batch
    cfg.optim_wrapper.accumulative_counts = accumulation
    cfg.optim_wrapper.optimizer.lr = recipe.scaled_lr
    cfg.param_scheduler = recipe.schedulers(accumulation)
    for hook in cfg.get('custom_hooks', []):
        if averages_weights(hook):  # it counts micro-batches
            hook.interval = hook.get('interval', 1) * accumulation
    if 'contrast' in cfg.get('model', {}):
        # Negatives are those of the global batch, however it is split.
        cfg.model.contrast.memory = recipe.batch - micro_batch * processes
