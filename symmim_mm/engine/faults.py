"""One-line reports of what the machine does to a run: processes, disks, connections."""

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

import torch
from mmengine.dist import get_rank, get_world_size
from torch.distributed import DistError

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


@contextmanager
def report_faults(again: str = RESUME) -> Iterator[None]:
    """Turn what the machine does to a run into a :class:`Fault` of one line.

    Of several processes, one that fails ends at once, without ending its process groups in
    order: that would wait for the others, which wait for it. The line ends with ``again``, what the
    user does afterwards.

    Raises:
        Fault: a loader worker died, another process of the run was lost, or the disk is full.
        UserError: a path or a type of the config is wrong, or a GPU has too little memory.
    """
    try:
        yield
    except BaseException as error:
        found = as_one_line(error, again)
        if isinstance(found, Fault):
            _kill_workers()
        if get_world_size() > 1:
            exit_now(found)
        if found is error:
            raise
        raise found from error


@contextmanager
def tolerate(logger: logging.Logger, what: str) -> Iterator[None]:
    """Warn, after ``what``, of a disk or a file that fails: no reason to lose days of training."""
    try:
        yield
    except (OSError, UserError) as error:
        logger.warning(f'{what}: {error}')


def as_one_line(error: BaseException, again: str = RESUME) -> BaseException:
    """Return the fault or mistake that an error stems from, or the error itself."""
    if is_interrupt(error):
        return error if isinstance(error, KeyboardInterrupt) else KeyboardInterrupt()
    if isinstance(error, UserError):
        return error
    error = worker_death(error) or error
    text = ' '.join(str(error).split())
    if found := from_os_error(error, again):
        return found
    if isinstance(error, KeyError) and (unknown := UNKNOWN_TYPE.search(text)):
        return UserError(
            f'config: type {unknown[1]} is not in the registry {unknown[2]!r}: correct it, or let '
            'custom_imports import what registers it'
        )
    if isinstance(error, torch.OutOfMemoryError):
        return UserError(
            f'{text.partition(" Including")[0]:.200} Take fewer images at a time '
            '(recipe.max_batch_per_gpu of a training, the batch_size of other loaders) or set '
            'activation_checkpointing=True'
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


def exit_now(error: BaseException) -> NoReturn:
    """End this process with the exit code of ``symmim_mm.cli.run``, but without any clean-up."""
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


def _kill_workers() -> None:
    """Kill all loader workers: this process could not end before one that hangs."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's would raise another error
    workers = [child for child in multiprocessing.active_children() if child.daemon]
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join(1)  # not for ever: one that waits for a disk ends when that answers
