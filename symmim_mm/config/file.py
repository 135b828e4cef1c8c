"""Reading of config files, which are programs: reading one runs it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symmim_mm.utils.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'  # in a checkout a link to configs/


def find_config(name: str, root: str | Path = '.') -> str:
    """Return the path of a config: a file, or the name of one that comes with this package.

    That is a name below ``configs/`` such as ``symmim/vit_b_pretrain``. ``name`` itself is returned
    if it is a file below ``root``, where relative paths start, or if nothing has that name.
    """
    if os.path.isfile(Path(root, name)):
        return name
    part = name.removeprefix('configs/')
    part = part if Path(part).suffix in ('.py', '.yaml') else f'{part}.py'
    if os.path.isfile(Path(root, 'configs', part)):
        return f'configs/{part}'
    return str(CONFIGS / part) if os.path.isfile(CONFIGS / part) else name


def read_config_file(path: str | Path, **options: Any) -> 'Config':
    """Read a config file with its bases.

    MMEngine also reads YAML and JSON; its YAML reader builds any object that the file names, which
    runs code that nobody expects in data. Only a file that is named as a program is run. Options
    are those of ``mmengine.config.Config.fromfile``.

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
