"""Reading of config files, which are programs: reading one runs it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symmim_mm.utils.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config


def read_config_file(path: str | Path, **options: Any) -> 'Config':
    """Read a config file with its bases.

    MMEngine also reads YAML and JSON; its YAML reader builds any object that the file names, which
    runs code that nobody expects in data. Only a file that is named as a program is run.

    Args:
        path: a ``.py`` file.
        **options: of ``mmengine.config.Config.fromfile``.

    Raises:
        UserError: no such file, another kind of file, or any error of the program in it.
    """
    from mmengine.config import Config

    if not os.path.isfile(path):
        raise UserError(f'config {path} does not exist: name a .py file of configs/')
    if Path(path).suffix != '.py':
        raise UserError(f'config {path} is not a .py file: a config is a program, and named so')
    try:
        return Config.fromfile(str(path), **options)
    except Exception as error:
        raise UserError(f'config {path} cannot be read: {type(error).__name__}: {error}') from error
