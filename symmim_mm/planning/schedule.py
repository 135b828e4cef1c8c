"""Learning rate of a run at any iteration, from the schedulers that its config builds."""

import math
from collections.abc import Iterator, Sequence

import torch
from mmengine.config import Config
from mmengine.optim import CosineAnnealingLR, LinearLR, MultiStepLR, _ParamScheduler
from mmengine.registry import PARAM_SCHEDULERS
from torch.optim import SGD, Optimizer

from symmim_mm.planning.length import Length


def build_schedulers(cfg: Config, length: Length, optimizer: Optimizer) -> list[_ParamScheduler]:
    """Build the schedulers of a config to which its recipe was applied, as MMEngine's Runner does.

    They set the first learning rates in ``optimizer``.
    """
    found = cfg.get('param_scheduler') or []
    built = []
    for settings in [found] if isinstance(found, dict) else found:
        by_epoch = settings.get('by_epoch', True)
        end = cfg.train_cfg.get('max_epochs', 1) if by_epoch else length.iterations
        settings = dict(end=end) | dict(settings)
        defaults = dict(optimizer=optimizer, epoch_length=length.epoch_length)
        built.append(PARAM_SCHEDULERS.build(settings, default_args=defaults))
    return built


def scheduler_epoch(cfg: Config, length: Length) -> int:
    """Return the micro-batches between steps of schedulers by epoch.

    To MMEngine a training that is stated in iterations is a single epoch.
    """
    return length.epoch_length if 'max_epochs' in cfg.train_cfg else length.iterations


def iter_rates(cfg: Config, length: Length, optimizer: Optimizer) -> Iterator[list[float]]:
    """Yield the learning rates of all groups of an optimizer for every micro-batch of the run."""
    schedulers = build_schedulers(cfg, length, optimizer)
    optimizer.step()  # MMEngine warns about schedulers that step first
    per_batch = [scheduler for scheduler in schedulers if not scheduler.by_epoch]
    per_epoch = [scheduler for scheduler in schedulers if scheduler.by_epoch]
    for iteration in range(1, length.iterations + 1):
        yield [group['lr'] for group in optimizer.param_groups]
        for scheduler in per_batch:
            scheduler.step()
        if per_epoch and iteration % scheduler_epoch(cfg, length) == 0:
            for scheduler in per_epoch:
                scheduler.step()


def optimizer_with_rates(rates: Sequence[float]) -> Optimizer:
    """Return an optimizer with a group of one number for each learning rate."""
    groups = [dict(params=[torch.zeros(1, requires_grad=True)], lr=rate) for rate in rates]
    return SGD(groups, lr=rates[0])


class RateSchedule:
    """Learning rate of one parameter group along a run.

    MMEngine defines a schedule by a recursion over micro-batches, of which a run may have millions.
    For the schedulers that recipes use, :meth:`rate` is its closed form; others are stepped
    through. The recipe of the config was applied; ``peak`` is the group's full learning rate.
    """

    def __init__(self, cfg: Config, length: Length, peak: float) -> None:
        self.cfg, self.length, self.peak = cfg, length, peak
        self.epoch = scheduler_epoch(cfg, length)
        self.schedulers = build_schedulers(cfg, length, optimizer_with_rates([peak]))

    @property
    def has_formula(self) -> bool:
        """Whether :meth:`rate` knows all schedulers and how they combine."""
        cosines = [s for s in self.schedulers if isinstance(s, CosineAnnealingLR)]
        others = [s for s in self.schedulers if s not in cosines]
        return (
            len(cosines) <= 1
            and all(isinstance(s, (LinearLR, MultiStepLR)) for s in others)
            # Products commute; a cosine starts from the rate before it, so it has to be the last.
            and all(s.end <= c.begin and s.by_epoch == c.by_epoch for c in cosines for s in others)
        )

    def rate(self, iteration: int) -> float:
        """Return the learning rate in a micro-batch, from 0; needs :attr:`has_formula`."""
        value = self.peak
        for scheduler in sorted(self.schedulers, key=lambda s: isinstance(s, CosineAnnealingLR)):
            now = iteration // self.epoch if scheduler.by_epoch else iteration
            if now < scheduler.begin:
                continue
            done = min(now, scheduler.end - 1) - scheduler.begin
            match scheduler:
                case LinearLR():
                    ramp = done / scheduler.total_iters if scheduler.total_iters else 0.0
                    span = scheduler.end_factor - scheduler.start_factor
                    value *= scheduler.start_factor + span * ramp
                case MultiStepLR():
                    passed = (n for step, n in scheduler.milestones.items() if step <= done)
                    value *= scheduler.gamma ** sum(passed)
                case CosineAnnealingLR():
                    ratio = scheduler.eta_min_ratio
                    last = scheduler.eta_min if ratio is None else self.peak * ratio
                    share = 0.5 * (1.0 + math.cos(math.pi * done / scheduler.T_max))
                    value = last + (value - last) * share
        return value

    def rates_at(self, iterations: Sequence[int]) -> list[float]:
        """Return the learning rates in some micro-batches, by formula or by stepping."""
        if self.has_formula:
            return [self.rate(iteration) for iteration in iterations]
        wanted = dict.fromkeys(iterations, 0.0)
        steps = iter_rates(self.cfg, self.length, optimizer_with_rates([self.peak]))
        for iteration, (rate,) in enumerate(steps):
            if iteration in wanted:
                wanted[iteration] = rate
        return [wanted[iteration] for iteration in iterations]

    @property
    def warmup_end(self) -> int:
        """First micro-batch after the warm-up; 0 without one."""
        ends = [
            scheduler.end * (self.epoch if scheduler.by_epoch else 1)
            for scheduler in self.schedulers
            if isinstance(scheduler, LinearLR) and scheduler.begin == 0
            and scheduler.start_factor < scheduler.end_factor
        ]  # fmt: skip
        return max(ends, default=0)
