"""Open files that may be anything: a pipe in place of a file would block its reader for ever."""

import errno
import os
import stat
from typing import BinaryIO


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """A regular file, or a link to one, open for reading.

    Raises:
        OSError: there is none, it may not be read, or it is a pipe, a device or a folder.
    """
    # A pipe that nobody writes to opens at once this way; to a regular file it makes no difference.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, 'not a regular file', os.fspath(path))
    return open(handle, 'rb')
