"""What a training run needs to survive a cluster: exact resuming, and faults told in one line."""

import logging
import multiprocessing
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from mmengine.config import Config
from mmengine.dist import broadcast_object_list, get_rank, get_world_size, is_main_process
from mmengine.runner import Runner
from torch.distributed import DistError

from symmim_mm.checkpoint.read import checkpoint_files, newest_whole_checkpoint
from symmim_mm.engine.optim.guarded_wrapper import GUARDED
from symmim_mm.engine.runner.resumable_loops import RESUMABLE
from symmim_mm.utils.errors import (
    EXIT_FAULT,
    RESUME,
    Fault,
    UserError,
    from_os_error,
    is_interrupt,
    print_error,
    worker_death,
)

# MMEngine's words; a KeyError shows them in quotes.
UNKNOWN_TYPE = re.compile(r"""['"]?(\S+) is not in the (?:\w+::)?(\w+) registry""")
RESTARTS = ('TORCHELASTIC_RESTART_COUNT', 'SLURM_RESTART_COUNT')


def make_resumable(cfg: Config) -> None:
    """Put our loop and optimizer wrapper in the place of MMEngine's; other types stay."""
    cfg.train_cfg.type = RESUMABLE.get(cfg.train_cfg.get('type'), cfg.train_cfg.get('type'))
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    cfg.optim_wrapper.type = GUARDED.get(kind, kind)


def was_restarted() -> bool:
    """Whether ``torchrun`` or Slurm started this process again."""
    return any(os.environ.get(name, '0') not in ('', '0') for name in RESTARTS)


def go_on(runner: Runner, resume: bool) -> None:
    """Let a runner resume from the newest whole checkpoint of its folder; all ranks the same.

    A process that ``torchrun`` or Slurm started again resumes without being told.

    Args:
        resume: as told on the command line.

    Raises:
        UserError: no checkpoint is whole, or there are some and the run is to start anew.
    """
    resume = resume or was_restarted()
    told: list = ['', '']
    if is_main_process():
        try:
            told = ['', _checkpoint(runner.work_dir, resume)]
        except UserError as error:
            told = [str(error), '']
    broadcast_object_list(told)
    problem, path = told
    if problem:
        raise UserError(problem)
    if path:
        runner._resume, runner._load_from = True, path


def _checkpoint(work_dir: str, resume: bool) -> str:
    if resume:
        return str(newest_whole_checkpoint(work_dir) or '')
    if files := checkpoint_files(work_dir):
        raise UserError(
            f'{work_dir} has checkpoints of a run, {files[-1].name} the newest: go on with '
            '--resume, or name another --work-dir'
        )
    return ''


@contextmanager
def told_in_one_line(again: str = RESUME) -> Iterator[None]:
    """Turn what the machine does to a run into a :class:`Fault` of one line.

    Of several processes, one that fails ends at once, without ending its process groups in
    order: that would wait for the others, which wait for it.

    Args:
        again: what the user does afterwards.

    Raises:
        Fault: a loader worker died, another process of the run was lost, or the disk is full.
    """
    try:
        yield
    except BaseException as error:
        found = in_one_line(error, again)
        if isinstance(found, Fault):
            _end_workers()
        if get_world_size() > 1:
            end_at_once(found)
        if found is error:
            raise
        raise found from error


def in_one_line(error: BaseException, again: str = RESUME) -> BaseException:
    """The fault behind an error, or the error itself."""
    if is_interrupt(error):
        return error if isinstance(error, KeyboardInterrupt) else KeyboardInterrupt()
    if isinstance(error, UserError):
        return error
    error = worker_death(error) or error
    text = ' '.join(str(error).split())
    if told := from_os_error(error, again):
        return told
    if isinstance(error, KeyError) and (unknown := UNKNOWN_TYPE.search(text)):
        return UserError(
            f'config: type {unknown[1]} is not in the registry {unknown[2]!r}: correct it, or let '
            'custom_imports import what registers it'
        )
    if not isinstance(error, RuntimeError):
        return error
    if 'DataLoader worker' in text or 'DataLoader timed out' in text:
        return Fault(
            f'{text.rstrip(".")}: a loader worker died or hangs; if the memory is short, fewer '
            f'num_workers help; {again}'
        )
    if isinstance(error, DistError) or 'by peer' in text or '/gloo/' in text:
        return Fault(
            f'process {get_rank()} lost the others, one of which has died: {text[:200]}: {again}'
        )
    return error


def end_at_once(error: BaseException) -> NoReturn:
    """End this process as ``symmim_mm.cli.run`` would, but without any clean-up."""
    code = EXIT_FAULT
    if isinstance(error, UserError):
        print_error(error)
        code = error.exit_code
    elif isinstance(error, SystemExit) and isinstance(error.code, int):
        code = error.code
    elif isinstance(error, KeyboardInterrupt):
        code = 128 + signal.SIGINT
    else:
        traceback.print_exception(error)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_workers() -> None:
    """End loader workers for certain: this process could not end before one that hangs."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's would raise another error
    workers = [child for child in multiprocessing.active_children() if child.daemon]
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join(1)  # not for ever: one that waits for a disk ends when that answers
