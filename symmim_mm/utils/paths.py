"""Paths and files from elsewhere: a command line, a record, an annotation file."""

import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from symmim_mm.utils.errors import UserError

URL = re.compile(r'[A-Za-z][\w.+:-]*:/')


def checkpoint_problem(name: str | Path) -> str | None:
    """Return why a path cannot be a checkpoint file, ``None`` if there is such a file.

    A URL is not downloaded: what is fetched, and whether its publisher is to be trusted, is for the
    user to decide.
    """
    if os.path.isfile(name):
        return None
    if URL.match(str(name)):
        return f'{name} is an address, and nothing is fetched: download the file and name it'
    what = 'is a folder, not a checkpoint file' if os.path.isdir(name) else 'does not exist'
    return f'{name} {what}: name the .pth file of a finished run'


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Open a regular file, or a link to one, for reading.

    Raises:
        OSError: there is none, it may not be read, or it is a pipe (whose reader would block for
            ever), a device or a folder.
    """
    # A pipe that nobody writes to opens at once this way; to a regular file it makes no difference.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, 'not a regular file', os.fspath(path))
    return open(handle, 'rb')


def file_inside(folder: str | Path, name: str, most: int) -> Path:
    """Return the path of a regular file in a folder that somebody else may have filled.

    Args:
        folder: may be a link itself.
        name: path relative to it.
        most: size of the file in bytes.

    Raises:
        UserError: there is none, it lies elsewhere (a link may lead there), it is not a regular
            file (a pipe would block the reader) or too large.
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
