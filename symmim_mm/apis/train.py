"""One training run of any of the three libraries, from a config to its record."""

import argparse

import torch
from mmengine.config import Config

from symmim_mm.config.load import load_config
from symmim_mm.config.recipe import apply_recipe, recipe_of
from symmim_mm.engine.annotation_check import check_annotations
from symmim_mm.engine.data_check import check_data
from symmim_mm.engine.faults import go_on, make_resumable, was_restarted
from symmim_mm.engine.launch import process_count, runner_of
from symmim_mm.engine.runner.activation_checkpointing import pop_switch
from symmim_mm.planning.costs import flops_per_image
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.locks import LEASE_S, alone_in


def configure(args: argparse.Namespace) -> Config:
    """The config of a run with every option of ``tools/train.py`` applied.

    Raises:
        UserError: as :func:`load_config`, and ``--backbone`` for a pre-training.
    """
    cfg = load_config(args)
    apply_recipe(cfg, process_count(args.launcher))
    hooks = list(cfg.get('custom_hooks', []))
    if args.backbone:
        if cfg.run.task == 'pretrain':
            raise UserError('--backbone starts a transfer; a pre-training starts from scratch')
        if not args.fsdp:  # which loads it before the model is cut
            hooks.append(dict(type='symmim_mm.LoadBackboneHook', checkpoint=args.backbone))
    if pop_switch(cfg):
        hooks.append(dict(type='symmim_mm.ActivationCheckpointingHook'))
    changes = dict(args.cfg_options or {})
    if args.amp:
        _use_mixed_precision(cfg)
        changes['--amp'] = True
    if args.compile:
        hooks.append(dict(type='symmim_mm.CompileHook'))
        changes['--compile'] = True
    record = dict(
        type='symmim_mm.RecordHook',
        config_path=args.config,
        backbone=args.backbone,
        overrides=[f'{key}={value}' for key, value in sorted(changes.items())],
    )
    cfg.custom_hooks = [*hooks, record]
    make_resumable(cfg)
    if args.fsdp:
        from symmim_mm.engine.runner.fsdp import use_fsdp

        use_fsdp(cfg, process_count(args.launcher), args.backbone, compiled=args.compile)
    return cfg


def _use_mixed_precision(cfg: Config) -> None:
    wrapper = cfg.optim_wrapper
    if wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(f'--amp does not work with optim_wrapper type {wrapper.type}')
    if not torch.cuda.is_available():
        raise UserError('--amp needs a GPU: MMEngine has no mixed precision on the CPU')
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('dtype', 'bfloat16' if torch.cuda.is_bf16_supported() else 'float16')


def _count_flops(cfg: Config) -> None:
    """Let the log say how much of the GPU is used; its peak is known for 16 bits."""
    throughput = (cfg.get('default_hooks') or {}).get('throughput')
    if throughput is not None:
        throughput['flops_per_image'] = flops_per_image(cfg).forward_backward


def train(args: argparse.Namespace) -> None:
    """Run ``tools/train.py``: train, evaluate, write ``result.json``.

    Raises:
        UserError: for what a user can mend: paths, options, sizes, data.
        Fault: for what the machine did: a disk, a loader worker, another process.
        SystemExit: 75, told to stop by a signal, after saving.
    """
    cfg = configure(args)
    if args.amp:
        _count_flops(cfg)
    patience_s = LEASE_S if args.resume or was_restarted() else 0.0
    with runner_of(cfg, args.launcher) as runner, alone_in(runner.work_dir, patience_s):
        go_on(runner, args.resume)
        if 'recipe' in cfg:
            runner.logger.info(recipe_of(cfg).describe(process_count(args.launcher)))
        check_annotations(cfg, ('train', 'val'))
        check_data(runner)
        runner.train()
