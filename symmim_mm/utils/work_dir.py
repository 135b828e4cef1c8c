"""The folder of a run: checked before the work is done, and used by one run at a time."""

import fcntl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mmengine.logging import print_log

from symmim_mm.utils.dist import on_main_rank
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.locks import NO_LOCKS, file_lock

PROBE_BYTES = 1 << 16
LEASE_S = 120  # a server keeps the locks of a node that has died for a minute or two


def check_work_dir(work_dir: str | Path, files: Sequence[str], folders: Sequence[str] = ()) -> None:
    """Create the folder of a run and check that its results can be written into it.

    Args:
        work_dir: of the run.
        files: names in it that will be written as files.
        folders: names in it that will be filled as folders.

    Raises:
        UserError: a name is taken by a folder or by a file.
        OSError: the folder cannot be created or written to.
    """
    work_dir = Path(work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    # Without a name, so that nothing is left of it whenever the process ends.
    with tempfile.TemporaryFile(dir=work_dir, buffering=0) as probe:
        probe.write(bytes(PROBE_BYTES))
    for path in (work_dir / name for name in files):
        if path.is_dir():
            raise UserError(f'{path} is a folder where a file is to be written: remove it')
    for path in (work_dir / name for name in folders):
        if path.exists() and not path.is_dir():
            raise UserError(f'{path} is a file where a folder is to be created: remove it')


@contextmanager
def exclusive_work_dir(work_dir: str, patience_s: float = 0.0) -> Iterator[None]:
    """Keep other runs out of a work directory, where they would overwrite each other's files.

    Rank 0 holds the lock; all ranks refuse together. It is one that ends with the process:
    the loader workers, which inherit the other kind, outlive a killed run by seconds. On a file
    system without locks a message replaces the protection.

    Args:
        work_dir: an existing folder.
        patience_s: seconds to wait for another run to end.

    Raises:
        UserError: another run uses the folder.
    """
    busy = (
        f'another run ({{holder}}) is using {work_dir}: wait until it ends, or choose another '
        '--work-dir'
    )
    with ExitStack() as held:

        def lock() -> None:
            path = Path(work_dir, 'run.lock')
            try:
                held.enter_context(file_lock(path, busy, patience_s, fcntl.lockf))
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                message = f'{work_dir} is on a file system without locks: let no other run use it'
                print_log(message, 'current')

        on_main_rank(lock)
        yield
