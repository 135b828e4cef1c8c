"""Outcomes of runs: whole checkpoints, and the same weights as another run."""

from pathlib import Path


def is_clean(work_dir: Path) -> bool:
    """Whether every checkpoint is as it was written, and no part of one was left."""
    from symmim_mm.checkpoint.read import checkpoint_files, read_checkpoint
    from symmim_mm.utils.errors import UserError

    try:
        for path in checkpoint_files(work_dir):
            read_checkpoint(path)
    except UserError:
        return False
    return not list(work_dir.glob('.*'))


def last_checkpoint(work_dir: Path) -> dict:
    """Return the last checkpoint of a finished run, read safely."""
    from symmim_mm.checkpoint.read import checkpoint_files, read_checkpoint

    return read_checkpoint(checkpoint_files(work_dir)[-1])


def compare(whole: Path, broken: Path) -> list[str]:
    """Return the differences between two finished runs: weights, optimizer and schedule."""
    from states import differences

    states = [last_checkpoint(folder) for folder in (whole, broken)]
    parts = ('state_dict', 'optimizer', 'param_schedulers')
    found = [d for part in parts for d in differences(states[0][part], states[1][part], part)]
    for key in ('epoch', 'iter'):
        found += differences(states[0]['meta'][key], states[1]['meta'][key], f'meta.{key}')
    return found
