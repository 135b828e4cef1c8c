"""What training and testing share: processes, and errors in one line."""

import gc
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from symmim_mm.engine.faults import told_in_one_line
from symmim_mm.engine.runner.watched_loops import watch_loops
from symmim_mm.utils.errors import RESUME, UserError

# Where each launcher says a process's rank, the number of processes, and its rank on its node.
PLACES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


def place_of(launcher: str) -> tuple[int, int, int]:
    """Rank, number of processes and rank on the node of this process.

    Raises:
        UserError: this process was not started by that launcher, or the numbers cannot be.
    """
    names = PLACES[launcher]
    if missing := [name for name in names if name not in os.environ]:
        script = 'slurm_train.sh' if launcher == 'slurm' else 'dist_train.sh or dist_test.sh'
        raise UserError(
            f'--launcher {launcher}: {missing[0]} is not in the environment: start the processes '
            f'with tools/{script}'
        )
    count = number_in(names[1], 1)
    return number_in(names[0], 0, count - 1), count, number_in(names[2], 0, count - 1)


def number_in(name: str, least: int, most: int = 1 << 31) -> int:
    """A whole number of the environment.

    Raises:
        UserError: it is none, or out of range.
    """
    text = os.environ[name]
    if not text.isdecimal() or not least <= int(text) <= most:
        limits = f'at least {least}' if most == 1 << 31 else f'{least} to {most}'
        raise UserError(f'{name} in the environment must be a number, {limits}, got {text!r:.80}')
    return int(text)


def set_threads() -> None:
    """Let torch compute with ``OMP_NUM_THREADS`` threads, where that is set.

    OpenMP takes a list as well, of which the first number counts here. An empty text is none.

    Raises:
        UserError: it is not a number above 0.
    """
    text = os.environ.get('OMP_NUM_THREADS', '').split(',')[0].strip()
    if not text:
        return
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f'OMP_NUM_THREADS must be a number of threads above 0, got {text!r:.80}')
    torch.set_num_threads(int(text))


def process_count(launcher: str) -> int:
    """Number of processes of this job, as the launcher's environment tells it.

    Raises:
        UserError: this process was not started by that launcher.
    """
    return 1 if launcher == 'none' else place_of(launcher)[1]


def join_on_cpu(launcher: str) -> None:
    """Join the processes of a launcher where there is no GPU: MMEngine's start-up asks for one.

    Raises:
        UserError: this process was not started by that launcher.
    """
    rank, count, local_rank = place_of(launcher)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(count), LOCAL_RANK=str(local_rank))
    os.environ.setdefault('MASTER_PORT', '29500')
    number_in('MASTER_PORT', 1, 65535)
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_node() if launcher == 'slurm' else '127.0.0.1'
    torch.distributed.init_process_group('gloo')


def _first_node() -> str:
    """The node of rank 0 of a Slurm step."""
    nodes = os.environ.get('SLURM_STEP_NODELIST') or os.environ['SLURM_NODELIST']
    command = ['scontrol', 'show', 'hostnames', nodes]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0]


@contextmanager
def runner_of(cfg: Config, launcher: str, again: str = RESUME) -> Iterator[Runner]:
    """Start the processes, build the runner, and clean up behind it.

    Args:
        again: what the user does after a fault.

    Raises:
        UserError: a file of the data that is not there or may not be read; half of a validation;
            an environment that no launcher leaves behind.
        Fault: as :func:`told_in_one_line`.
    """
    for split in ('val', 'test'):
        parts = [f'{split}_{name}' for name in ('dataloader', 'cfg', 'evaluator')]
        present = [name for name in parts if cfg.get(name) is not None]
        missing = [name for name in parts if name not in present]
        if present and missing:
            raise UserError(
                f'{" and ".join(present)} cannot be set without {" and ".join(missing)}, of which '
                'this config has none: leave it out, or state all three'
            )
    watch_loops(cfg)
    cfg.launcher = launcher
    set_threads()
    if launcher != 'none' and not torch.cuda.is_available():
        # Without a device, DDP must not be told one.
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
        )
        cfg.pop('sync_bn', None)
        join_on_cpu(launcher)
    runner = None
    try:
        with told_in_one_line(again):
            if 'strategy' in cfg:
                from symmim_mm.engine.runner.fsdp import ShardedRunner

                runner = ShardedRunner.from_cfg(cfg)
            else:
                runner = Runner.from_cfg(cfg)
            yield runner
    finally:
        if torch.distributed.is_initialized():
            # A wrapper that is freed after its process group joins the group's threads while it
            # holds the interpreter's lock, which they may be waiting for.
            if runner is not None and is_model_wrapper(runner.model):
                runner.model = runner.model.module
            gc.collect()
            torch.distributed.destroy_process_group()
