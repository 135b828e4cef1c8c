"""A signal stops a run after it has saved, so that it resumes as if it had never stopped."""

import signal
from collections.abc import Sequence
from types import FrameType

import torch
import torch.distributed as dist
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from symmim_mm.engine.hooks.checkpoint_hook import SafeCheckpointHook
from symmim_mm.registry import HOOKS
from symmim_mm.utils.errors import EXIT_PREEMPTED, UserError


class StopVote:
    """A vote by which all ranks stop at the same step, whenever the signal reaches each of them.

    Every step starts a reduction of one number between the CPUs of the ranks and reads that of
    the step before, which has ended meanwhile: nothing waits, and no GPU is involved.
    """

    def __init__(self) -> None:
        self.group = dist.new_group(backend='gloo') if get_world_size() > 1 else None
        self.pending: tuple[dist.Work, torch.Tensor] | None = None

    def passed(self, wanted: bool) -> bool:
        """Cast a vote, and return whether any rank wanted to stop at the step before."""
        if self.group is None:
            return wanted
        before = self.pending
        vote = torch.tensor([int(wanted)])
        work = dist.all_reduce(vote, dist.ReduceOp.MAX, self.group, async_op=True)
        self.pending = work, vote
        if before is None:
            return False
        before[0].wait()
        return bool(before[1].item())


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Saves after a signal, at the next optimizer step or within a validation, and exits with 75.

    75 is ``EX_TEMPFAIL`` of ``sysexits.h``: the same command with ``--resume`` continues from
    there, also within an epoch, without repeating or skipping an image.

    Args:
        signals: names of the signals. Slurm sends SIGTERM, then, after ``KillWait`` (30 seconds),
            SIGKILL at the time limit; ``--signal=USR1@300`` sends SIGUSR1 five minutes before it.
    """

    priority = 'VERY_LOW'  # after all other work of a step, and after CheckpointHook

    def __init__(self, signals: Sequence[str] = ('SIGTERM', 'SIGUSR1')) -> None:
        self.signals = [signal.Signals[name] for name in signals]
        self.received: signal.Signals | None = None
        self.vote: StopVote | None = None
        self.handlers: dict = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        # Loader workers inherit this handler and thereby ignore the signal, which a scheduler sends
        # to every process of a job: the batches that they prepare are still needed.
        self.received = signal.Signals(number)

    def before_train(self, runner: Runner) -> None:
        """Set the signal handlers."""
        saving = [hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook)]
        if not saving:
            raise UserError('PreemptionHook needs symmim_mm.SafeCheckpointHook in default_hooks')
        self.saving = saving[0]
        self.vote = StopVote()
        self.handlers = {number: signal.signal(number, self._receive) for number in self.signals}

    def after_train_iter(self, runner: Runner, **_: object) -> None:
        """Stop after an optimizer step, if any rank has received a signal."""
        if runner.optim_wrapper.should_update() and self.vote.passed(self.received is not None):
            self._stop(runner, runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        """Find the number of steps in which all ranks can vote."""
        if self.vote is not None:
            device = next(runner.model.parameters()).device
            steps = torch.tensor(len(runner.val_dataloader), device=device)
            all_reduce(steps, 'min')
            self.val_steps = int(steps)

    def after_val_iter(self, runner: Runner, batch_idx: int, **_: object) -> None:
        """Stop within a validation, if any rank has received a signal."""
        if self.vote is None or batch_idx >= self.val_steps:  # each rank must vote as often
            return
        if self.vote.passed(self.received is not None):
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):  # during a validation the model has the average
                    hook.after_val_epoch(runner)
            self._stop(runner, runner.iter)

    def after_run(self, runner: Runner) -> None:
        """Restore the signal handlers."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def _stop(self, runner: Runner, done: int) -> None:
        name = self.saving.save_between(runner, done)
        why = self.received.name if self.received else 'another process received a signal'
        saved = f'saved {name}' if name else 'which could not be saved'
        start = 'there' if name else 'the newest checkpoint'
        runner.logger.warning(
            f'stopped after iteration {done} ({why}), {saved}: the same command with --resume '
            f'continues from {start}; exit code {EXIT_PREEMPTED}'
        )
        runner.visualizer.close()
        raise SystemExit(EXIT_PREEMPTED)
