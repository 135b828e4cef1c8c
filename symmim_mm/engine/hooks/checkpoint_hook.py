"""Checkpoints that survive a crash, a full disk and weights that are not finite."""

import signal
from contextlib import suppress
from logging import Logger
from pathlib import Path

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner

from symmim_mm.checkpoint.read import checkpoint_files
from symmim_mm.engine.faults import tolerate
from symmim_mm.registry import HOOKS
from symmim_mm.utils.dist import on_main_rank, unwrap
from symmim_mm.utils.errors import RESUME, Fault, UserError
from symmim_mm.utils.files import remove_parts, write_atomic
from symmim_mm.utils.signals import defer_signals

BACKEND = 'symmim_mm.atomic'
WITHIN = '_iter_'  # in the name of a checkpoint within an epoch
# Options of MMEngine's hook, without which neither resuming nor the record finds a checkpoint.
FIXED = ('out_dir', 'filename_tmpl', 'save_last', 'backend_args', 'file_client_args')


@register_backend(BACKEND)
class AtomicBackend(LocalBackend):
    """MMEngine's local files, written next to the old file and renamed."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file whole or not at all."""
        write_atomic(filepath, obj)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """``CheckpointHook`` whose files are written whole or not at all.

    * A file that cannot be written (disk full, quota, read-only folder) does not end the training:
      a warning counts it, and the disk may have room for the next. Only the last checkpoint of a
      run must be written.
    * Older checkpoints are removed when the new one is on the disk, not before.
    * Weights that are not finite are not saved; the run stops.
    * Nothing is saved between the micro-batches of an accumulated gradient.

    Args:
        **kwargs: as ``CheckpointHook``, but for those in ``FIXED``.

    Raises:
        UserError: one of ``FIXED`` is given.
    """

    def __init__(self, **kwargs: object) -> None:
        if given := [name for name in FIXED if name in kwargs]:
            raise UserError(
                f'default_hooks.checkpoint.{given[0]} cannot be set: --resume and the record need '
                'the checkpoints, the last one too, in the folder of the run: leave it out'
            )
        super().__init__(backend_args=dict(backend=BACKEND), **kwargs)
        self.failures = 0
        self.due = False

    def before_train(self, runner: Runner) -> None:
        """Remove what a killed writer has left."""
        super().before_train(runner)
        if is_main_process():
            with suppress(OSError):
                remove_parts(self.out_dir)

    def after_train_iter(self, runner: Runner, **_: object) -> None:
        """Save a checkpoint that is due, at the next optimizer step."""
        if self.by_epoch:
            return
        last = self.save_last and self.is_last_train_iter(runner)
        self.due |= last or self.every_n_train_iters(runner, self.interval, self.save_begin)
        if self.due and runner.optim_wrapper.should_update():
            self.due = False
            runner.logger.info(f'Saving checkpoint at {runner.iter + 1} iterations')
            self._save_checkpoint(runner)

    def save_between(self, runner: Runner, done: int) -> str:
        """Save after ``done`` iterations of the run, unless it was.

        Returns:
            The file's name, ``''`` if it could not be written.
        """
        name = f'iter_{done}.pth'
        if self.by_epoch and isinstance(runner.train_loop, EpochBasedTrainLoop):
            within = done - runner.epoch * len(runner.train_dataloader)
            name = f'epoch_{runner.epoch}' + (f'{WITHIN}{within}' if within else '') + '.pth'
        if self.last_ckpt and Path(self.last_ckpt).name == name:
            return name
        return '' if self._write(runner, name, dict(epoch=runner.epoch, iter=done)) else name

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        problem = self._write(runner, self.filename_tmpl.format(step), meta)
        is_last = self.is_last_train_epoch if self.by_epoch else self.is_last_train_iter
        if problem and is_last(runner):
            raise Fault(
                f'the last checkpoint of the run could not be written: {problem}: make room, then '
                f'{RESUME}'
            )

    def _write(self, runner: Runner, name: str, meta: dict) -> str:
        """Write one checkpoint; return what went wrong, ``''`` for nothing, on all ranks."""
        refuse_not_finite(runner, meta['iter'])
        path = self.file_backend.join_path(self.out_dir, name)
        before, self.last_ckpt = self.last_ckpt, path
        runner.message_hub.update_info('last_ckpt', path)
        problem = ''
        try:
            # An exception raised by a signal handler would leave torch with a half-written archive,
            # which ends the process when its file is closed. torch reports dead loader workers by
            # such a handler, for SIGCHLD.
            with defer_signals(signal.SIGINT, signal.SIGCHLD):
                runner.save_checkpoint(
                    self.out_dir,
                    name,
                    save_optimizer=self.save_optimizer,
                    save_param_scheduler=self.save_param_scheduler,
                    meta=meta,
                    backend_args=self.backend_args,
                    **self.args,
                )
                if is_main_process():
                    write_atomic(Path(runner.work_dir, 'last_checkpoint'), path)
        except OSError as error:
            problem = f'{error.strerror}: {error.filename or path}'
        problem = on_main_rank(lambda: problem)
        if problem:
            self.last_ckpt = before
            self.failures += 1
            runner.logger.error(
                f'checkpoint {name} could not be written: {problem}; older checkpoints are '
                f'unchanged ({self.failures} such failures so far)'
            )
        elif is_main_process():
            self._remove_older(runner.logger, Path(path))
        return problem

    def _remove_older(self, logger: Logger, newest: Path) -> None:
        files = checkpoint_files(newest.parent)
        older = files[: files.index(newest)]
        # Those within an epoch are not needed as soon as there is a later one.
        between = [path for path in older if WITHIN in path.name]
        regular = [path for path in older if WITHIN not in path.name]
        keep = self.max_keep_ckpts - (WITHIN not in newest.name)
        excess = regular[: max(len(regular) - keep, 0)] if self.max_keep_ckpts > 0 else []
        for path in (*between, *excess):
            with tolerate(logger, f'{path.name} could not be removed'):
                path.unlink(missing_ok=True)


def refuse_not_finite(runner: Runner, done: int) -> None:
    """Stop after ``done`` iterations rather than save weights that are not finite, on all ranks."""
    model = unwrap(runner.model)
    tensors = [*model.parameters(), *model.buffers()]
    tensors = [t.detach() for t in tensors if t.is_floating_point() and t.numel()]
    largest = torch.stack([n.float() for n in torch._foreach_norm(tensors, float('inf'))])
    finite = largest.isfinite().all().float()
    all_reduce(finite, 'min')
    if not finite.item():
        files = checkpoint_files(runner.work_dir)
        good = f'the newest good checkpoint is {files[-1]}' if files else 'there is no checkpoint'
        raise UserError(
            f'the weights are not finite after iteration {done} and were not saved; '
            f'{good}: resume from it with a lower learning rate'
        )
