"""Paths that come from elsewhere: a command line, a record, an annotation file."""

import os
import re
import stat
from pathlib import Path

from symmim_mm.utils.errors import UserError

ADDRESS = re.compile(r'[A-Za-z][\w.+:-]*:/')


def no_checkpoint(name: str | Path) -> str | None:
    """Why a path cannot be the file of a checkpoint, or ``None`` if there is such a file.

    An address is not fetched: what is downloaded, and whether its publisher is to be trusted, is
    for the user to decide.
    """
    if os.path.isfile(name):
        return None
    if ADDRESS.match(str(name)):
        return f'{name} is an address, and nothing is fetched: download the file and name it'
    what = 'is a folder, not a checkpoint file' if os.path.isdir(name) else 'does not exist'
    return f'{name} {what}: name the .pth file of a finished run'


def file_inside(folder: str | Path, name: str, most: int) -> Path:
    """A plain file in a folder that somebody else may have filled.

    Args:
        folder: may be a link itself.
        name: path relative to it.
        most: size of the file in bytes.

    Raises:
        UserError: there is none, it lies elsewhere (a link may lead there), it is no plain file
            (a pipe would block the reader) or too large.
    """
    path = Path(folder, name)
    try:
        if not path.resolve().is_relative_to(Path(folder).resolve()):
            raise UserError(f'{path}: lies outside of its folder')
        status = os.stat(path)
    except FileNotFoundError:
        raise UserError(f'{path}: no such file') from None
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, links in a circle
        raise UserError(f'{path!s:.200}: cannot be read: {error!s:.200}') from error
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f'{path}: not a file')
    if status.st_size > most:
        raise UserError(f'{path}: has {status.st_size:,} bytes, more than {most:,}')
    return path
