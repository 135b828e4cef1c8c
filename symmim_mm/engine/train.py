"""One training run of any of the three libraries, from a config to its record."""

import argparse
import os

import torch
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint

from symmim_mm.config import load_config
from symmim_mm.engine.data_check import check_data
from symmim_mm.errors import UserError
from symmim_mm.recipe import apply_recipe


def configure(args: argparse.Namespace) -> Config:
    """The config of a run with every option of ``tools/train.py`` applied.

    Raises:
        UserError: as :func:`load_config`, and ``--backbone`` for a pre-training.
    """
    cfg = load_config(args)
    cfg.launcher = args.launcher
    processes = os.environ.get('WORLD_SIZE') or os.environ.get('SLURM_NTASKS') or 1
    apply_recipe(cfg, 1 if args.launcher == 'none' else int(processes))
    cfg.resume = bool(args.resume and find_latest_checkpoint(cfg.work_dir))
    hooks = list(cfg.get('custom_hooks', []))
    if args.backbone:
        if cfg.run.task == 'pretrain':
            raise UserError('--backbone starts a transfer; a pre-training starts from scratch')
        hooks.append(dict(type='symmim_mm.LoadBackboneHook', checkpoint=args.backbone))
    hooks.append(
        dict(
            type='symmim_mm.RecordHook',
            config_path=args.config,
            backbone=args.backbone,
            overrides=args.cfg_options,
        )
    )
    cfg.custom_hooks = hooks
    if args.amp:
        wrapper = cfg.optim_wrapper
        if wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise UserError(f'--amp does not work with optim_wrapper type {wrapper.type}')
        half = not torch.cuda.is_available() or torch.cuda.is_bf16_supported()
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('dtype', 'bfloat16' if half else 'float16')
    if args.compile:
        cfg.compile = True
    if args.launcher != 'none' and not torch.cuda.is_available():
        # Without a device, DDP must not be told one.
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
        )
        cfg.pop('sync_bn', None)
    return cfg


def train(args: argparse.Namespace) -> None:
    """Run ``tools/train.py``: train, evaluate, write ``result.json``.

    Raises:
        UserError: for what a user can mend: paths, options, sizes, data.
    """
    cfg = configure(args)
    if args.launcher == 'pytorch' and not torch.cuda.is_available():
        # MMEngine's own start-up asks for a CUDA device.
        torch.distributed.init_process_group('gloo')
    torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', torch.get_num_threads())))
    try:
        runner = Runner.from_cfg(cfg)
        check_data(runner)
        runner.train()
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        if error.filename is None:
            raise
        raise UserError(f'{error.strerror}: {error.filename}') from error
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
