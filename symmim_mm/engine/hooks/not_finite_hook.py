"""Counts steps that were skipped because they were not finite, and stops after too many."""

from collections import deque
from pathlib import Path

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from symmim_mm.engine.faults import tolerate
from symmim_mm.engine.optim.guarded_wrapper import GuardedStep, Verdict
from symmim_mm.registry import HOOKS
from symmim_mm.utils.dist import unwrap
from symmim_mm.utils.errors import UserError

COUNT = 'skipped_steps'


@HOOKS.register_module()
class NotFiniteHook(Hook):
    """Reports the steps that the :class:`GuardedStep` of a run has skipped.

    The images of a skipped step are listed in ``<work_dir>/not_finite_rank<rank>.txt``; the count,
    over all attempts at the run, is logged as ``skipped_steps``. The verdict on a step on a GPU is
    read two steps later, so that nothing waits for it; all ranks read it at the same step.

    Args:
        most_in_a_row: optimizer steps after which the run stops. More than the 17 halvings after
            which the scale of fp16 training is below 1.
    """

    def __init__(self, most_in_a_row: int = 20) -> None:
        self.most_in_a_row = most_in_a_row
        self.in_a_row = 0
        self.iterations: deque[list[int]] = deque()
        self.current: list[int] = []

    def before_train(self, runner: Runner) -> None:
        """Set up the optimizer wrapper, and take up the count of earlier attempts."""
        if not isinstance(runner.optim_wrapper, GuardedStep):
            raise UserError(
                f'{type(runner.optim_wrapper).__name__} does not skip steps that are not finite: '
                'start the run with tools/train.py, or leave NotFiniteHook out'
            )
        runner.optim_wrapper.watch(unwrap(runner.model))
        self.skipped = int(runner.message_hub.get_info(COUNT, 0))

    def after_train_iter(self, runner: Runner, **_: object) -> None:
        """Read the verdicts that are ready; too many skipped steps in a row end the run."""
        self.current.append(runner.iter)
        if not runner.optim_wrapper.should_update():
            return
        self.iterations.append(self.current)
        self.current = []
        for verdict in runner.optim_wrapper.take_verdicts():
            self._count(runner, self.iterations.popleft(), verdict)

    def _count(self, runner: Runner, iterations: list[int], verdict: Verdict) -> None:
        self.in_a_row = self.in_a_row + 1 if verdict.skipped else 0
        if self.skipped or verdict.skipped:
            self.skipped += verdict.skipped
            runner.message_hub.update_scalar(f'train/{COUNT}', self.skipped)
        if not verdict.skipped:
            return
        runner.message_hub.update_info(COUNT, self.skipped)
        what = 'the loss was' if verdict.loss else 'the gradient was'
        where = 'on another rank'
        if verdict.own_loss or not verdict.loss:
            where = self._list(runner, iterations)
        step = f'iteration {iterations[-1] + 1}: {what} not finite'
        if self.in_a_row >= self.most_in_a_row:
            raise UserError(
                f'{step}, {self.in_a_row} times in a row, and no such step was applied; the '
                f'latest images are {where}: look at them, or lower recipe.lr'
            )
        runner.logger.warning(
            f'{step}, the step was not applied ({self.skipped} so far, {self.in_a_row} in a row; '
            f'images: {where})'
        )

    def _list(self, runner: Runner, iterations: list[int]) -> str:
        loader = runner.train_dataloader
        path = Path(runner.work_dir, f'not_finite_rank{get_rank()}.txt')
        with (
            tolerate(runner.logger, 'images of the step are not listed'),
            open(path, 'a', encoding='utf-8') as file,
        ):
            for iteration in iterations:
                names = loader.image_names(iteration, most=None)
                file.write(f'iteration {iteration + 1}: {names}\n')
        return f'{loader.image_names(iterations[-1])} (all in {path})'
