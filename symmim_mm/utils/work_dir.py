"""Checks of the folder of a run before the work is done."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from symmim_mm.utils.errors import UserError

PROBE_BYTES = 1 << 16


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
