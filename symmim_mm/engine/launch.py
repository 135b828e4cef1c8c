"""Start of a training or a test: the launcher's environment, processes, and the runner."""

import functools
import gc
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from symmim_mm.checkpoint.mmengine import use_safe_loaders
from symmim_mm.config.load import LOADERS
from symmim_mm.datasets.label_share import use_label_share
from symmim_mm.engine.faults import report_faults
from symmim_mm.utils.dist import unwrap
from symmim_mm.utils.errors import RESUME, UserError
from symmim_mm.utils.host import keep_freed_memory

# Where each launcher puts a process's rank, the number of processes, and its rank on its node.
RANK_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}
# Our types in place of MMEngine's.
SUBSTITUTES = {
    'EpochBasedTrainLoop': 'symmim_mm.ResumableEpochLoop',
    'IterBasedTrainLoop': 'symmim_mm.ResumableIterLoop',
    'ValLoop': 'symmim_mm.FaultReportingValLoop',
    'TestLoop': 'symmim_mm.FaultReportingTestLoop',
    'OptimWrapper': 'symmim_mm.GuardedOptimWrapper',
    'AmpOptimWrapper': 'symmim_mm.GuardedAmpOptimWrapper',
}
# Part of a config, and the type that MMEngine takes where it has none.
DEFAULT_TYPES = dict(
    train_cfg=None, val_cfg='ValLoop', test_cfg='TestLoop', optim_wrapper='OptimWrapper'
)
# Hooks that MMEngine adds where a config says nothing, and leaves out where it says None.
MMENGINE_HOOKS = (
    'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint',
)  # fmt: skip


def substitute_types(cfg: Config) -> None:
    """Put our loops and optimizer wrappers in place of MMEngine's, and let ``labels`` work.

    A default hook that is None is left out; MMEngine knows this of its own only.
    """
    for name, hook in list((cfg.get('default_hooks') or {}).items()):
        if hook is None and name not in MMENGINE_HOOKS:
            del cfg.default_hooks[name]
    for name, default in DEFAULT_TYPES.items():
        part = cfg.get(name)
        if part is not None and (kind := part.get('type', default)) in SUBSTITUTES:
            part.type = SUBSTITUTES[kind]
    for name in LOADERS:
        if loader := cfg.get(name):
            loader.dataset = use_label_share(loader.dataset)


def cache_config_format() -> None:
    """Format each text once per process in yapf, whose output depends on its arguments alone.

    MMEngine has the whole config formatted anew for every checkpoint and several times at the
    start, which takes longer than writing the checkpoint of a small model.
    """
    from yapf.yapflib import yapf_api

    original = yapf_api.FormatCode
    if hasattr(original, '__wrapped__'):
        return
    results: dict[str, tuple[str, bool]] = {}

    @functools.wraps(original)
    def format_code(*args: object, **options: object) -> tuple[str, bool]:
        key = repr((args, options))
        if key not in results:
            results[key] = original(*args, **options)
        return results[key]

    yapf_api.FormatCode = format_code


def rank_info(launcher: str) -> tuple[int, int, int]:
    """Return rank, number of processes and rank on the node of this process.

    Raises:
        UserError: another launcher, or none, started this process, or the numbers are impossible.
    """
    names = RANK_VARIABLES[launcher]
    if missing := [name for name in names if name not in os.environ]:
        script = 'slurm_train.sh' if launcher == 'slurm' else 'dist_train.sh or dist_test.sh'
        raise UserError(
            f'--launcher {launcher}: {missing[0]} is not in the environment: start the processes '
            f'with tools/{script}'
        )
    count = env_int(names[1], 1)
    return env_int(names[0], 0, count - 1), count, env_int(names[2], 0, count - 1)


def env_int(name: str, least: int, most: int = 1 << 31) -> int:
    """Return an integer of the environment; ``UserError`` for anything else."""
    text = os.environ[name]
    if not text.isdecimal() or not least <= int(text) <= most:
        limits = f'at least {least}' if most == 1 << 31 else f'{least} to {most}'
        raise UserError(f'{name} in the environment must be an integer, {limits}, got {text!r:.80}')
    return int(text)


def process_count(launcher: str) -> int:
    """Return the number of processes of this job from the launcher's environment."""
    return 1 if launcher == 'none' else rank_info(launcher)[1]


def init_cpu_processes(launcher: str) -> None:
    """Connect the processes of a launcher where there is no GPU, as MMEngine's start needs one."""
    rank, count, local_rank = rank_info(launcher)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(count), LOCAL_RANK=str(local_rank))
    os.environ.setdefault('MASTER_PORT', '29500')
    env_int('MASTER_PORT', 1, 65535)
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_node() if launcher == 'slurm' else '127.0.0.1'
    torch.distributed.init_process_group('gloo')


def _first_node() -> str:
    """Return the node of rank 0 of a Slurm step."""
    nodes = os.environ.get('SLURM_STEP_NODELIST') or os.environ['SLURM_NODELIST']
    command = ['scontrol', 'show', 'hostnames', nodes]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0]


class DeferredConfig:
    """Part of a runner that writes its config when asked to: a refused run changes nothing.

    MMEngine's runners write it at once, in place of that of a run in the same folder.
    """

    def dump_config(self) -> None:
        """Write nothing yet."""

    def write_config(self) -> None:
        """Write the config into the work directory, on rank 0."""
        super().dump_config()  # type: ignore[misc]  # the runner's


class LaunchedRunner(DeferredConfig, Runner):
    """``Runner`` of a run that :func:`launched_runner` starts."""


@contextmanager
def launched_runner(cfg: Config, launcher: str, again: str = RESUME) -> Iterator[LaunchedRunner]:
    """Start the processes, build the runner, and clean up after it; no config is written.

    Types of the config are substituted in place; ``launcher`` is ``'none'`` or one of
    ``RANK_VARIABLES``, ``again`` what the user does after a fault.

    Raises:
        UserError: a file of the data is missing or may not be read; half of a validation is
            configured; the environment is not that of the launcher.
        Fault: as :func:`report_faults`.
    """
    _check_evaluation(cfg)
    process_count(launcher)  # MMEngine reads these variables without a check
    substitute_types(cfg)
    use_safe_loaders()
    cache_config_format()
    if not torch.cuda.is_available():
        keep_freed_memory()
    cfg.launcher = launcher
    if launcher != 'none' and not torch.cuda.is_available():
        # Without a device, DDP must not be given one.
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
        )
        cfg.pop('sync_bn', None)
        init_cpu_processes(launcher)
    runner = None
    try:
        with report_faults(again):
            if 'strategy' in cfg:
                from symmim_mm.engine.runner.fsdp import ShardedRunner

                runner = ShardedRunner.from_cfg(cfg)
            else:
                runner = LaunchedRunner.from_cfg(cfg)
            yield runner
    finally:
        if torch.distributed.is_initialized():
            # A wrapper that is freed after its process group joins the group's threads while it
            # holds the interpreter's lock, which they may be waiting for.
            if runner is not None:
                runner.model = unwrap(runner.model)
            gc.collect()
            torch.distributed.destroy_process_group()


def _check_evaluation(cfg: Config) -> None:
    for split in ('val', 'test'):
        parts = [f'{split}_{name}' for name in ('dataloader', 'cfg', 'evaluator')]
        present = [name for name in parts if cfg.get(name) is not None]
        missing = [name for name in parts if name not in present]
        if present and missing:
            raise UserError(
                f'{" and ".join(present)} cannot be set without {" and ".join(missing)}, of which '
                'this config has none: leave it out, or state all three'
            )
