"""One training run of any of the three libraries, from a config to its record."""

from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config

from symmim_mm.config.load import load_config
from symmim_mm.config.recipe import apply_recipe, recipe_of
from symmim_mm.engine.annotation_check import check_annotations
from symmim_mm.engine.data_check import check_data
from symmim_mm.engine.launch import launched_runner, process_count
from symmim_mm.engine.resume import resume_from_latest, was_restarted
from symmim_mm.models.activation_checkpointing import pop_activation_checkpointing
from symmim_mm.planning.costs import flops_per_image
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.locks import LEASE_S, exclusive_work_dir


def train(
    config: str | Path,
    *,
    work_dir: str | Path | None = None,
    backbone: str | Path | None = None,
    resume: bool = False,
    amp: bool = False,
    compile: bool = False,
    fsdp: bool = False,
    seed: int | None = None,
    cfg_options: Mapping[str, object] | None = None,
    launcher: str = 'none',
) -> None:
    """Train, evaluate and write ``result.json``: a pre-training, or a transfer.

    Args:
        config: a config file.
        work_dir: where the run is kept; ``work_dirs/<config>`` by default.
        backbone: pre-trained checkpoint that a transfer starts from.
        resume: continue from the last checkpoint in ``work_dir``, if there is one.
        amp: train in mixed precision, bf16 where possible.
        compile: compile the model with ``torch.compile``.
        fsdp: shard the model over the processes.
        seed: random seed, 0 to 2**32 - 1; that of the config, or 0, by default.
        cfg_options: changes of the config, by dotted name.
        launcher: what started this process: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        UserError: for what a user can fix: paths, options, sizes, data.
        Fault: for what the machine did: a disk, a loader worker, another process.
        SystemExit: 75, after saving, where a signal stopped the run.
    """
    cfg = configure(
        config, work_dir=work_dir, backbone=backbone, amp=amp, compile=compile, fsdp=fsdp,
        seed=seed, cfg_options=cfg_options, launcher=launcher,
    )  # fmt: skip
    if amp or cfg.run.task == 'pretrain':
        _count_flops(cfg, amp)
    patience_s = LEASE_S if resume or was_restarted() else 0.0
    with (
        launched_runner(cfg, launcher) as runner,
        exclusive_work_dir(runner.work_dir, patience_s),
    ):
        resume_from_latest(runner, resume)
        if 'recipe' in cfg:
            runner.logger.info(recipe_of(cfg).describe(process_count(launcher)))
        check_annotations(cfg, ('train', 'val'))
        check_data(runner)
        runner.train()


def configure(
    config: str | Path,
    *,
    work_dir: str | Path | None = None,
    backbone: str | Path | None = None,
    amp: bool = False,
    compile: bool = False,
    fsdp: bool = False,
    seed: int | None = None,
    cfg_options: Mapping[str, object] | None = None,
    launcher: str = 'none',
) -> Config:
    """Return the config of a run with all options of :func:`train` applied.

    Raises:
        UserError: as :func:`load_config`, and a backbone for a pre-training.
    """
    cfg = load_config(
        config, work_dir=work_dir, seed=seed, cfg_options=cfg_options, backbone=backbone
    )
    processes = process_count(launcher)
    apply_recipe(cfg, processes)
    hooks = list(cfg.get('custom_hooks', []))
    if backbone:
        if cfg.run.task == 'pretrain':
            raise UserError('--backbone starts a transfer; a pre-training starts from scratch')
        if not fsdp:  # which loads it before the model is sharded
            hooks.append(dict(type='symmim_mm.LoadBackboneHook', checkpoint=str(backbone)))
    if pop_activation_checkpointing(cfg):
        hooks.append(dict(type='symmim_mm.ActivationCheckpointingHook'))
    changes = dict(cfg_options or {})
    if amp:
        _use_mixed_precision(cfg)
        changes['--amp'] = True
    if compile:
        hooks.append(dict(type='symmim_mm.CompileHook'))
        changes['--compile'] = True
    record = dict(
        type='symmim_mm.RecordHook',
        config_path=str(config),
        backbone=str(backbone) if backbone else None,
        overrides=[f'{key}={value}' for key, value in sorted(changes.items())],
    )
    cfg.custom_hooks = [*hooks, record]
    if fsdp:
        from symmim_mm.engine.runner.fsdp import use_fsdp

        use_fsdp(cfg, processes, str(backbone) if backbone else None, compiled=compile)
    return cfg


def _use_mixed_precision(cfg: Config) -> None:
    wrapper = cfg.optim_wrapper
    if wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(f'--amp does not work with optim_wrapper type {wrapper.type}')
    if not torch.cuda.is_available():
        raise UserError('--amp needs a GPU: MMEngine has no mixed precision on the CPU')
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('dtype', 'bfloat16' if torch.cuda.is_bf16_supported() else 'float16')


def _count_flops(cfg: Config, amp: bool) -> None:
    """Let the record say what a pass costs, and the log how much of a GPU's 16-bit peak is used."""
    count = flops_per_image(cfg).forward_backward
    for hook in cfg.custom_hooks:
        if hook['type'] == 'symmim_mm.RecordHook':
            hook['flops_per_image'] = count
    throughput = (cfg.get('default_hooks') or {}).get('throughput')
    if amp and throughput is not None:
        throughput['flops_per_image'] = count
