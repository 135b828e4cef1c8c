"""One run at a time in a work directory."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from symmim_mm.utils.errors import UserError

NAME = 'run.lock'
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # of some network file systems
LEASE_S = 120  # a server keeps the locks of a node that has died for a minute or two
POLL_S = 1.0


@contextmanager
def alone_in(work_dir: str, patience_s: float = 0.0) -> Iterator[None]:
    """Keep other runs out of a work directory, where they would overwrite each other's files.

    Rank 0 holds the lock; all ranks refuse together. It is a record lock of POSIX, as it ends with
    the process: one of ``flock`` would last as long as the loader workers, which outlive a killed
    run by seconds. Without locks in the file system nobody is kept out, and the log says so.

    Args:
        work_dir: an existing folder.
        patience_s: seconds to wait for another run to end.

    Raises:
        UserError: another run has the folder.
    """
    handle, told = None, ['']
    if is_main_process():
        handle = os.open(Path(work_dir, NAME), os.O_CREAT | os.O_RDWR, 0o644)
        told = [_lock(handle, work_dir, patience_s)]
    try:
        broadcast_object_list(told)
        if told[0]:
            raise UserError(told[0])
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock(handle: int, work_dir: str, patience_s: float) -> str:
    """Lock a file; who else has it, in words, if that does not end in time."""
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # POSIX allows both
            if time.monotonic() >= until:
                holder = os.pread(handle, 200, 0).decode(errors='replace').strip()
                return (
                    f'another run ({holder or "unknown"}) is using {work_dir}: wait for its end, '
                    'or name another --work-dir'
                )
            time.sleep(POLL_S)
            continue
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            print_log(f'{work_dir} is on a file system without locks: see to it that no other '
                      'run uses it', 'current')  # fmt: skip
            return ''
        os.ftruncate(handle, 0)
        os.pwrite(handle, f'process {os.getpid()} on {socket.gethostname()}\n'.encode(), 0)
        return ''
