"""Dry run: the plan of a run, printed (``tools/train.py CONFIG --dry-run``)."""

import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from json import dumps
from pathlib import Path

from mmengine.logging import MMLogger

from symmim_mm.checkpoint.mmengine import use_safe_loaders
from symmim_mm.config.load import load_config
from symmim_mm.engine.launch import process_count
from symmim_mm.planning.run_plan import plan_run
from symmim_mm.planning.text import write_plan
from symmim_mm.utils.errors import UserError


def dry_run(
    config: str | Path,
    *,
    work_dir: str | Path | None = None,
    backbone: str | Path | None = None,
    seed: int | None = None,
    cfg_options: Mapping[str, object] | None = None,
    launcher: str = 'none',
    gpus: int | None = None,
    list_parameters: bool = False,
    json: str | Path | None = None,
) -> None:
    """Print the plan of a run, and do nothing else.

    The arguments of :func:`symmim_mm.apis.train.train` are followed by the number of processes to
    plan for (those launched by default), whether to name the parameters of every group, and a file
    to write the plan to as well.

    Raises:
        UserError: as a run, except for absent data; a file that cannot be written.
    """
    use_safe_loaders()
    cfg = load_config(
        config, work_dir=work_dir, seed=seed, cfg_options=cfg_options, backbone=backbone,
        check_data=False,
    )  # fmt: skip
    processes = process_count(launcher) if gpus is None else gpus
    if processes < 1:
        raise UserError(f'--gpus must be at least 1, got {processes}')
    if any(int(os.environ.get(name, 0)) for name in ('RANK', 'SLURM_PROCID')):
        return  # only rank 0 prints
    silence_libraries()
    plan = plan_run(cfg, processes)
    print(write_plan(plan, list_parameters))
    if json:
        try:
            Path(json).write_text(dumps(asdict(plan), indent=1) + '\n')
        except OSError as error:
            raise UserError(f'--json {json}: {error.strerror}') from error


def silence_libraries() -> None:
    """Hide MMEngine's lines on frozen parameters and MMSegmentation's on a default."""
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    warnings.filterwarnings('ignore', message='Default ``avg_non_ignore``')
