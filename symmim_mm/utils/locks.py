"""Locks on files that are there for nothing else."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from symmim_mm.utils.errors import UserError

# Of network file systems that know no locks.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
POLL_S = 0.2


@contextmanager
def file_lock(
    path: str | Path,
    busy: str | None = None,
    patience_s: float = 0.0,
    lock: Callable[[int, int], None] = fcntl.flock,
) -> Iterator[int]:
    """Hold a lock on a file while the block runs.

    Args:
        path: of the file, which is made.
        busy: the message where another process holds the lock; for ``{holder}`` in it the file says
            which one that is, otherwise it stays empty. None waits for that process, and continues
            without a lock where the file system has none: two then do the same work.
        patience_s: seconds to wait before that message.
        lock: ``fcntl.flock``, whose lock ends with the last process that inherited the open file,
            or ``fcntl.lockf``, whose lock ends with this process.

    Yields:
        The handle of the open file.

    Raises:
        UserError: ``busy``.
        OSError: with ``busy``, the file cannot be made or locked.
    """
    handle = -1
    with ExitStack() as held:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
            held.callback(os.close, handle)
            if busy:
                _acquire(handle, busy, patience_s, lock)
            else:
                lock(handle, fcntl.LOCK_EX)
        except OSError:
            if busy:
                raise
        yield handle


def _acquire(handle: int, busy: str, patience_s: float, lock: Callable[[int, int], None]) -> None:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except (BlockingIOError, PermissionError):  # POSIX allows both
            if time.monotonic() >= deadline:
                holder = os.pread(handle, 200, 0).decode(errors='replace').strip()
                raise UserError(busy.replace('{holder}', holder or 'unknown')) from None
            time.sleep(POLL_S)
    if '{holder}' in busy:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f'process {os.getpid()} on {socket.gethostname()}\n'.encode(), 0)
