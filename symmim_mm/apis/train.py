"""One training run of any of the three libraries, from a config to its record."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from symmim_mm.config.load import check_branch, load_config, stated_weights
from symmim_mm.config.recipe import apply_recipe, recipe_of
from symmim_mm.engine.annotation_check import check_annotations
from symmim_mm.engine.data_check import check_data
from symmim_mm.engine.launch import launched_runner, process_count
from symmim_mm.engine.precision import use_mixed_precision
from symmim_mm.engine.resume import resume_from_latest, was_restarted
from symmim_mm.engine.tracking import use_trackers
from symmim_mm.models.backbones.activation_checkpointing import pop_activation_checkpointing
from symmim_mm.planning.costs import flops_per_image
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.work_dir import LEASE_S, exclusive_work_dir

RECORD_HOOK = 'symmim_mm.RecordHook'
IMAGE_STEP = 'symmim_mm.LoadImageStrict'


class RunOptions(TypedDict, total=False):
    """Options of :func:`train` that are part of the run, by the names of the command line."""

    work_dir: str | Path | None  # where the run is kept; work_dirs/<config> by default
    backbone: str | Path | None  # checkpoint that a transfer or a pre-training starts from
    branch: str  # 'online' or 'momentum': the encoder of a SymMIM checkpoint to start from
    amp: bool  # train in mixed precision, bf16 where possible
    compile: bool  # compile the model with torch.compile
    fsdp: bool  # shard the model over the processes
    seed: int | None  # random seed, 0 to 2**32 - 1; that of the config, or 0, by default
    cfg_options: Mapping[str, object] | None  # changes of the config, by dotted name
    track: Sequence[str]  # trackers that get scalars and images: see TRACKERS


def train(
    config: str | Path,
    *,
    resume: bool = False,
    launcher: str = 'none',
    **options: Unpack[RunOptions],
) -> None:
    """Train, evaluate and write ``result.json``: a pre-training, or a transfer.

    Args:
        config: a config file.
        resume: continue from the last checkpoint in the work directory, if there is one.
        launcher: what started this process: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
        **options: see :class:`RunOptions`.

    Raises:
        UserError: for what a user can fix: paths, options, sizes, data.
        Fault: for what the machine did: a disk, a loader worker, another process.
        SystemExit: 75, after saving, where a signal stopped the run.
    """
    cfg = configure(config, launcher, **options)
    share = bool(options.get('amp')) and torch.cuda.is_available()
    if share or cfg.run.task == 'pretrain':
        _count_flops(cfg, share)
    patience_s = LEASE_S if resume or was_restarted() else 0.0
    with (
        launched_runner(cfg, launcher) as runner,
        exclusive_work_dir(runner.work_dir, patience_s),
    ):
        resume_from_latest(runner, resume)
        runner.write_config()
        if 'recipe' in cfg:
            runner.logger.info(recipe_of(cfg).describe(process_count(launcher)))
        check_annotations(cfg, ('train', 'val'))
        check_data(runner)
        runner.train()


def configure(config: str | Path, launcher: str = 'none', **options: Unpack[RunOptions]) -> Config:
    """Return the config of a run with all options of :func:`train` applied.

    Raises:
        UserError: as :func:`load_config`, and a config that a run wrote into its folder.
    """
    backbone, fsdp = options.get('backbone'), options.get('fsdp', False)
    source, branch = str(backbone) if backbone else None, options.get('branch', 'online')
    check_branch(branch, backbone)
    changes = dict(options.get('cfg_options') or {})
    cfg = load_config(
        config,
        work_dir=options.get('work_dir'),
        seed=options.get('seed'),
        cfg_options=changes,
        backbone=backbone,
    )
    hooks = list(cfg.get('custom_hooks', []))
    if written := next((hook for hook in hooks if hook.get('type') == RECORD_HOOK), None):
        raise UserError(
            f'{config} was written by a run, with its recipe and hooks applied: train '
            f'{written.config_path}, the config that it was made from'
        )
    processes = process_count(launcher)
    apply_recipe(cfg, processes)
    if backbone and not fsdp:  # which loads it before the model is sharded
        hooks.append(dict(type='symmim_mm.LoadBackboneHook', checkpoint=source, branch=branch))
    if pop_activation_checkpointing(cfg):
        hooks.append(dict(type='symmim_mm.ActivationCheckpointingHook'))
    if branch != 'online':
        changes['--branch'] = branch
    if options.get('amp'):
        use_mixed_precision(cfg)
        changes['--amp'] = True
    if options.get('compile'):
        hooks.append(dict(type='symmim_mm.CompileHook'))
        changes['--compile'] = True
    if options.get('track'):
        use_trackers(cfg, options['track'])
    record = dict(
        type=RECORD_HOOK,
        config_path=str(config),
        backbone=source or stated_weights(cfg),
        backbone_in_config=source is None,
        overrides=[f'{key}={value}' for key, value in sorted(changes.items())],
    )
    cfg.custom_hooks = [*hooks, record]
    if fsdp:
        from symmim_mm.engine.runner.fsdp import use_fsdp

        use_fsdp(cfg, processes, source, branch, compiled='--compile' in changes)
    _serve_inferencers(cfg)
    return cfg


def _serve_inferencers(cfg: Config) -> None:
    """Let the config that a run writes serve the inferencers of the three libraries.

    They look for MMEngine's loading step by its name, in the test pipeline, which a training does
    not run; MMSegmentation's also look for that pipeline at the top.
    """
    test = copy.deepcopy(cfg.get('test_dataloader'))
    steps = test.dataset.get('pipeline') if test and test.get('dataset') else None
    if not steps:
        return
    cfg.test_pipeline = test.dataset.pipeline = [
        dict(step, type='LoadImageFromFile') if step.type == IMAGE_STEP else step for step in steps
    ]
    cfg.test_dataloader = test


def _count_flops(cfg: Config, share: bool) -> None:
    """Let the record say what a pass costs, and the log which share of a GPU's peak is used."""
    try:
        count = flops_per_image(cfg).forward_backward
    except Exception as error:  # a model of the user's own may not run on fake tensors
        print_log(f'FLOPs are not counted: {type(error).__name__}: {error!s:.200}', 'current')
        return
    for hook in cfg.custom_hooks:
        if hook['type'] == RECORD_HOOK:
            hook['flops_per_image'] = count
    throughput = (cfg.get('default_hooks') or {}).get('throughput')
    if share and throughput is not None:
        throughput['flops_per_image'] = count
