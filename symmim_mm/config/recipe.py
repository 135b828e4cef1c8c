"""A training recipe per global batch, turned into the settings of one process.

A config states once what a paper states: length, global batch, learning rate and the batch it
belongs to. What one process needs (its batch, accumulation, the scaled rate, the schedulers)
follows from the number of processes, so 1, 8 or 64 GPUs train the same recipe.
"""

import math
from dataclasses import dataclass, fields

from mmengine.config import Config

from symmim_mm.utils.errors import UserError

SCHEDULES = ('cosine', 'linear', 'step')
COUNTS = ('epochs', 'iterations', 'batch', 'lr_batch', 'warmup_iterations', 'max_batch_per_gpu')
NUMBERS = ('lr', 'warmup_epochs', 'warmup_start', 'min_lr', 'gamma')
LARGEST = 1 << 31


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of a pre-training or transfer. All counts of iterations are optimizer steps.

    Args:
        epochs: passes over the data; or
        iterations: optimizer steps, for recipes that count these. Exactly one of the two.
        batch: pictures per optimizer step, over all processes and accumulated micro-batches.
        lr: learning rate at a batch of ``lr_batch``; scaled linearly to ``batch``.
        lr_batch: see ``lr``.
        warmup_epochs: of linear warm-up; needs ``epochs``, and may be a fraction.
        warmup_iterations: the same, counted in optimizer steps.
        warmup_start: first rate of the warm-up, as a share of the peak.
        schedule: after the warm-up ``'cosine'`` or ``'linear'`` down to ``min_lr``, or
            ``'step'``: times ``gamma`` at each of ``milestones``.
        min_lr: last rate, not scaled with the batch; a parameter group of a reduced rate (layer
            decay) ends at its own share of it (MAE ``util/lr_sched.py``).
        milestones, gamma: see ``schedule``; in epochs or iterations, as the length is.
        max_batch_per_gpu: more pictures than this per process and step are accumulated.
    """

    batch: int
    lr: float
    lr_batch: int
    epochs: int | None = None
    iterations: int | None = None
    warmup_epochs: float = 0
    warmup_iterations: int = 0
    warmup_start: float = 1e-4
    schedule: str = 'cosine'
    min_lr: float = 0.0
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    max_batch_per_gpu: int = 256

    @property
    def by_epoch(self) -> bool:
        """Whether the length is counted in epochs."""
        return self.epochs is not None

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
        # The smallest divisor that is large enough; divisors come in pairs about the root.
        least = math.ceil(per_process / self.max_batch_per_gpu)
        small = (step for step in range(1, math.isqrt(per_process) + 1) if not per_process % step)
        pairs = ((step, per_process // step) for step in small)
        steps = min(step for pair in pairs for step in pair if step >= least)
        return per_process // steps, steps

    def schedulers(self, accumulation: int) -> list[dict]:
        """MMEngine schedulers: warm-up, then the schedule, updated every micro-batch.

        Args:
            accumulation: micro-batches per optimizer step; MMEngine counts micro-batches.
        """
        if self.by_epoch:
            count = dict(by_epoch=True, convert_to_iter_based=True)
            end, scale = self.epochs, 1
        else:
            count, end, scale = dict(by_epoch=False), self.iterations * accumulation, accumulation
        # A warm-up in iterations may precede a step schedule in epochs; the others go on from it.
        start = self.warmup_epochs or self.warmup_iterations * scale
        found: list[dict] = []
        if self.warmup_epochs:
            found.append(dict(type='LinearLR', **count, begin=0, end=start))
        elif self.warmup_iterations:
            steps = self.warmup_iterations * accumulation
            found.append(dict(type='LinearLR', by_epoch=False, begin=0, end=steps))
        for warmup in found:
            warmup['start_factor'] = self.warmup_start

        ratio = self.min_lr / self.scaled_lr
        if self.schedule == 'step':
            milestones = [step * scale for step in self.milestones]
            found.append(
                dict(
                    type='MultiStepLR',
                    by_epoch=self.by_epoch,
                    milestones=milestones,
                    gamma=self.gamma,
                )
            )
        elif self.schedule == 'linear':
            found.append(
                dict(
                    type='LinearLR',
                    **count,
                    start_factor=1.0,
                    end_factor=ratio,
                    begin=start,
                    end=end,
                )
            )
        else:
            found.append(
                dict(
                    type='CosineAnnealingLR',
                    **count,
                    T_max=end - start,
                    eta_min_ratio=ratio,
                    begin=start,
                    end=end,
                )
            )
        return found

    def describe(self, processes: int) -> str:
        """One line for the log: what the recipe comes to on so many processes."""
        micro_batch, accumulation = self.split(processes)
        length = f'{self.epochs} epochs' if self.by_epoch else f'{self.iterations} iterations'
        return (
            f'recipe: {length} of {self.batch} pictures a step = {processes} processes x '
            f'{micro_batch} pictures x {accumulation} micro-batches; peak learning rate '
            f'{self.scaled_lr:g}'
        )


def recipe_of(cfg: Config) -> Recipe:
    """Read and check ``cfg.recipe``.

    Raises:
        UserError: an unknown or missing field, or numbers that cannot work.
    """
    known = {item.name for item in fields(Recipe)}
    settings = dict(cfg.recipe)
    if unknown := set(settings) - known:
        raise UserError(f'recipe has no {sorted(unknown)}; it knows {sorted(known)}')
    try:
        recipe = Recipe(**settings)
    except TypeError as error:
        raise UserError(f'recipe is incomplete: {error}') from error
    _check_kinds(recipe)
    if (recipe.epochs is None) == (recipe.iterations is None):
        raise UserError('recipe needs either epochs or iterations, exactly one of them')
    length = recipe.epochs if recipe.by_epoch else recipe.iterations
    positive = (length, recipe.batch, recipe.lr, recipe.lr_batch, recipe.max_batch_per_gpu)
    if min(positive) <= 0 or min(recipe.warmup_epochs, recipe.warmup_iterations, recipe.min_lr) < 0:
        raise UserError(
            'recipe needs a positive length, batch, lr, lr_batch and max_batch_per_gpu, and no '
            f'negative warm-up or min_lr, got {settings}'
        )
    if recipe.schedule not in SCHEDULES:
        raise UserError(f"recipe.schedule must be one of {SCHEDULES}, got '{recipe.schedule}'")
    if (recipe.schedule == 'step') != bool(recipe.milestones):
        raise UserError("recipe.milestones belong to recipe.schedule='step', which needs them")
    if recipe.warmup_epochs and (recipe.warmup_iterations or not recipe.by_epoch):
        raise UserError('recipe.warmup_epochs needs epochs, and no warmup_iterations beside it')
    if recipe.warmup_iterations and recipe.by_epoch and recipe.schedule != 'step':
        raise UserError("recipe.warmup_iterations with epochs works with schedule='step' only")
    if (recipe.warmup_epochs if recipe.by_epoch else recipe.warmup_iterations) >= length:
        raise UserError(f'recipe: a warm-up as long as the whole training ({length}) cannot work')
    if not 0 < recipe.scaled_lr < math.inf or not 0 < recipe.warmup_start <= 1:
        raise UserError(
            f'recipe: a peak learning rate of {recipe.scaled_lr} from {recipe.warmup_start} of it '
            'cannot work'
        )
    if recipe.schedule == 'linear' and recipe.min_lr > recipe.scaled_lr:
        raise UserError(
            f'recipe.min_lr {recipe.min_lr} is more than the peak learning rate '
            f'{recipe.scaled_lr:g} at this batch'
        )
    return recipe


def _check_kinds(recipe: Recipe) -> None:
    """Refuse a field that is no number where one is needed."""
    for name in (*COUNTS, *NUMBERS):
        value = getattr(recipe, name)
        kinds = (int,) if name in COUNTS else (int, float)
        unset = value is None and name in ('epochs', 'iterations')
        if not unset and (type(value) not in kinds or not -LARGEST < value < LARGEST):
            what = 'a whole number' if name in COUNTS else 'a number'
            raise UserError(f'recipe.{name} must be {what}, got {value!s:.80}')
    steps = recipe.milestones
    if not isinstance(steps, list | tuple) or any(type(s) is not int or s < 1 for s in steps):
        raise UserError(f'recipe.milestones must be whole numbers from 1, got {steps!s:.80}')


def apply_recipe(cfg: Config, processes: int) -> None:
    """Write ``cfg.recipe`` into the parts of ``cfg`` that MMEngine reads; none is no change.

    Intervals that a config states in iterations (validation, checkpoints) are optimizer steps,
    too, and become micro-batches here.

    Raises:
        UserError: as :func:`recipe_of`, and a batch that does not split over the processes.
    """
    if cfg.get('recipe') is None:
        return
    recipe = recipe_of(cfg)
    micro_batch, accumulation = recipe.split(processes)
    for path in ('train_cfg', 'train_dataloader', 'optim_wrapper', 'optim_wrapper.optimizer',
                 *(() if recipe.by_epoch else ('default_hooks.checkpoint',))):  # fmt: skip
        place = cfg
        for name in path.split('.'):
            place = place.get(name)
            if not isinstance(place, dict):
                raise UserError(f'recipe needs {path}=dict(...) in the config, got {place!s:.80}')
    if recipe.by_epoch:
        cfg.train_cfg.max_epochs = recipe.epochs
    else:
        cfg.train_cfg.max_iters = recipe.iterations * accumulation
        intervals = (cfg.train_cfg, 'val_interval'), (cfg.default_hooks.checkpoint, 'interval')
        for place, key in intervals:
            if key in place:
                place[key] = place[key] * accumulation
    cfg.train_dataloader.batch_size = micro_batch
    cfg.optim_wrapper.accumulative_counts = accumulation
    cfg.optim_wrapper.optimizer.lr = recipe.scaled_lr
    cfg.param_scheduler = recipe.schedulers(accumulation)
