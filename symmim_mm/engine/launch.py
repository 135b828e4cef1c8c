"""What training and testing share: options of a launch, processes, and errors in one line."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from symmim_mm.errors import UserError


def add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that the launch scripts set."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='set by the dist_*.sh and slurm_train.sh scripts',
    )
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)


def process_count(launcher: str) -> int:
    """Number of processes of this job, as the launcher's environment tells it."""
    if launcher == 'none':
        return 1
    names = ('WORLD_SIZE', 'SLURM_NTASKS', 'OMPI_COMM_WORLD_SIZE')
    return int(next((os.environ[name] for name in names if name in os.environ), 1))


@contextmanager
def runner_of(cfg: Config, launcher: str) -> Iterator[Runner]:
    """Start the processes, build the runner, and clean up behind it.

    Raises:
        UserError: a file of the data that is not there or may not be read.
    """
    cfg.launcher = launcher
    torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', torch.get_num_threads())))
    if launcher != 'none' and not torch.cuda.is_available():
        # Without a device, DDP must not be told one, and MMEngine's start-up would ask for one.
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
        )
        cfg.pop('sync_bn', None)
        if launcher == 'pytorch':
            torch.distributed.init_process_group('gloo')
    try:
        yield Runner.from_cfg(cfg)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        if error.filename is None:
            raise
        raise UserError(f'{error.strerror}: {error.filename}') from error
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
