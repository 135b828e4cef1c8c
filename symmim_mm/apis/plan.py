"""Dry run: the plan of a run, printed (``tools/train.py CONFIG --dry-run``)."""

import argparse
import json
import logging
import os
import warnings
from dataclasses import asdict
from pathlib import Path

from symmim_mm.config.load import load_config
from symmim_mm.utils.errors import UserError


def wants_dry_run(args: argparse.Namespace) -> bool:
    """Return whether a dry run is asked for.

    Raises:
        UserError: an option of dry runs without ``--dry-run``.
    """
    alone = {'--gpus': args.gpus, '--list-parameters': args.list_parameters, '--json': args.json}
    given = [name for name, value in alone.items() if value not in (None, False)]
    if given and not args.dry_run:
        raise UserError(f'{given[0]} belongs to --dry-run')
    return args.dry_run


def dry_run(args: argparse.Namespace) -> None:
    """Print the plan of a run, and do nothing else.

    Raises:
        UserError: as a run, except for absent data; a FILE that cannot be written.
    """
    # Here, so that `--help` does not wait for all three libraries.
    from symmim_mm.checkpoint.mmengine import use_safe_loaders
    from symmim_mm.engine.launch import process_count
    from symmim_mm.planning.run_plan import plan_run
    from symmim_mm.planning.text import write_plan

    use_safe_loaders()
    cfg = load_config(
        args.config, work_dir=args.work_dir, seed=args.seed, cfg_options=args.cfg_options,
        backbone=args.backbone, check_data=False,
    )  # fmt: skip
    processes = process_count(args.launcher) if args.gpus is None else args.gpus
    if processes < 1:
        raise UserError(f'--gpus must be at least 1, got {processes}')
    if any(int(os.environ.get(name, 0)) for name in ('RANK', 'SLURM_PROCID')):
        return  # only rank 0 prints
    silence_libraries()
    plan = plan_run(cfg, processes)
    print(write_plan(plan, args.list_parameters))
    if args.json:
        try:
            Path(args.json).write_text(json.dumps(asdict(plan), indent=1) + '\n')
        except OSError as error:
            raise UserError(f'--json {args.json}: {error.strerror}') from error


def silence_libraries() -> None:
    """Hide MMEngine's lines on frozen parameters and MMSegmentation's on a default."""
    from mmengine.logging import MMLogger

    MMLogger.get_current_instance().setLevel(logging.ERROR)
    warnings.filterwarnings('ignore', message='Default ``avg_non_ignore``')
