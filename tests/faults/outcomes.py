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


def differences(one: object, other: object, where: str = '') -> list[str]:
    """Return where two nested states differ in a single bit."""
    import torch

    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f'{where}: other keys']
        return [d for key in one for d in differences(one[key], other[key], f'{where}.{key}')]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return [f'{where}: other length']
        pairs = enumerate(zip(one, other, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f'{where}.{i}')]
    if isinstance(one, torch.Tensor):
        same = isinstance(other, torch.Tensor) and one.dtype == other.dtype
        same = same and one.numpy().tobytes() == other.numpy().tobytes()
    else:
        same = one == other
    return [] if same else [where]


def compare(whole: Path, broken: Path) -> list[str]:
    """Return the differences between two finished runs: weights, optimizer and schedule."""
    states = [last_checkpoint(folder) for folder in (whole, broken)]
    parts = ('state_dict', 'optimizer', 'param_schedulers')
    found = [d for part in parts for d in differences(states[0][part], states[1][part], part)]
    for key in ('epoch', 'iter'):
        found += differences(states[0]['meta'][key], states[1]['meta'][key], f'meta.{key}')
    return found
