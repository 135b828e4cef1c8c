"""A lock that admits one run at a time to a work directory."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mmengine.logging import print_log

from symmim_mm.utils.dist import on_main_rank
from symmim_mm.utils.errors import UserError

NAME = 'run.lock'
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # of some network file systems
LEASE_S = 120  # a server keeps the locks of a node that has died for a minute or two
POLL_S = 1.0


@contextmanager
def exclusive_work_dir(work_dir: str, patience_s: float = 0.0) -> Iterator[None]:
    """Keep other runs out of a work directory, where they would overwrite each other's files.

    Rank 0 holds the lock; all ranks refuse together. It is a POSIX record lock because that ends
    with the process: one of ``flock`` would last as long as the loader workers, which outlive a
    killed run by seconds. On a file system without locks a message replaces the protection.

    Args:
        work_dir: an existing folder.
        patience_s: seconds to wait for another run to end.

    Raises:
        UserError: another run uses the folder.
    """
    with ExitStack() as held:

        def lock() -> None:
            held.enter_context(_locked(work_dir, patience_s))

        on_main_rank(lock)
        yield


@contextmanager
def _locked(work_dir: str, patience_s: float) -> Iterator[None]:
    handle = os.open(Path(work_dir, NAME), os.O_CREAT | os.O_RDWR, 0o644)
    try:
        _acquire(handle, work_dir, patience_s)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, work_dir: str, patience_s: float) -> None:
    """Lock an open file and write down who holds it."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except (BlockingIOError, PermissionError):  # POSIX allows both
            if time.monotonic() >= deadline:
                holder = os.pread(handle, 200, 0).decode(errors='replace').strip()
                raise UserError(
                    f'another run ({holder or "unknown"}) is using {work_dir}: wait until it '
                    'ends, or choose another --work-dir'
                ) from None
            time.sleep(POLL_S)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            message = f'{work_dir} is on a file system without locks: let no other run use it'
            print_log(message, 'current')
            return
    os.ftruncate(handle, 0)
    os.pwrite(handle, f'process {os.getpid()} on {socket.gethostname()}\n'.encode(), 0)
