"""Command lines of ``tools/train.py`` for tests in this process."""

import importlib.util
from argparse import Namespace
from pathlib import Path

from paths import ROOT


def train_arguments(
    config: str, work_dir: Path, *flags: str, options: dict[str, object] | None = None
) -> Namespace:
    """What the tool's own parser makes of a command line.

    Args:
        config: name below ``configs/``, without ``.py``.
        flags: such as ``'--amp'``.
        options: of ``--cfg-options``.
    """
    spec = importlib.util.spec_from_file_location('train_tool', ROOT / 'tools' / 'train.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    line = [str(ROOT / 'configs' / f'{config}.py'), '--work-dir', str(work_dir), *flags]
    if options:
        line += ['--cfg-options', *(f'{key}={value}' for key, value in options.items())]
    return tool.build_parser().parse_args(line)
