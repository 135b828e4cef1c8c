"""Resuming a run from the newest checkpoint of its work directory."""

import os

from mmengine.runner import Runner

from symmim_mm.checkpoint.read import checkpoint_files, newest_whole_checkpoint
from symmim_mm.utils.dist import on_main_rank
from symmim_mm.utils.errors import RESUME, UserError

RESTARTS = ('TORCHELASTIC_RESTART_COUNT', 'SLURM_RESTART_COUNT')


def was_restarted() -> bool:
    """Return whether ``torchrun`` or Slurm started this process again."""
    return any(os.environ.get(name, '0') not in ('', '0') for name in RESTARTS)


def resume_from_latest(runner: Runner, resume: bool) -> None:
    """Let a runner resume from the newest whole checkpoint of its folder, the same on all ranks.

    A process that ``torchrun`` or Slurm started again resumes without being asked to.

    Raises:
        UserError: no checkpoint is whole, or there are some and the run is not to resume.
    """
    resume = resume or was_restarted()
    if path := on_main_rank(lambda: _find_checkpoint(runner.work_dir, resume)):
        # What `resume` and `load_from` of a config set, before the folder is known to be free.
        runner._resume, runner._load_from = True, path


def _find_checkpoint(work_dir: str, resume: bool) -> str:
    if resume:
        return str(newest_whole_checkpoint(work_dir) or '')
    if files := checkpoint_files(work_dir):
        raise UserError(
            f'{work_dir} has checkpoints of a run, {files[-1].name} the newest: {RESUME}, or '
            'choose another --work-dir'
        )
    return ''
