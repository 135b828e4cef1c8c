"""Command lines of ``tools/train.py`` for tests that continue in this process."""

from argparse import Namespace
from pathlib import Path

from paths import ROOT

from symmim_mm.cli import COMMANDS


def train_arguments(
    config: str, work_dir: Path, *flags: str, options: dict[str, object] | None = None
) -> Namespace:
    """Parse a command line as the tool does.

    Args:
        config: name below ``configs/``, without ``.py``.
        flags: such as ``'--amp'``.
        options: of ``--cfg-options``.
    """
    line = [str(ROOT / 'configs' / f'{config}.py'), '--work-dir', str(work_dir), *flags]
    if options:
        line += ['--cfg-options', *(f'{key}={value}' for key, value in options.items())]
    return COMMANDS['train'].build_parser('train').parse_args(line)
