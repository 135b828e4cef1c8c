"""The folder of a run: whether its results can be written there is told before the work is done."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from symmim_mm.utils.errors import WRONG_PATH, Fault, UserError

PROBE_BYTES = 1 << 16


@contextmanager
def told_of_writing(path: str | Path, then: str) -> Iterator[None]:
    """Turn an ``OSError`` of writing into one line that names the file.

    Args:
        path: of the file or folder that is written.
        then: what the user does when the cause is mended.

    Raises:
        UserError: the path cannot be written to.
        Fault: the disk is full, read-only or broken.
    """
    try:
        yield
    except OSError as error:
        kind = UserError if error.errno in WRONG_PATH else Fault
        raise kind(f'{path} cannot be written: {error.strerror}: mend that, then {then}') from error


def check_run_folder(
    run_dir: str | Path, then: str, files: Sequence[str], folders: Sequence[str] = ()
) -> None:
    """Make the folder of a run and see that its results can be written into it.

    Args:
        run_dir: the work directory.
        then: what the user does when the cause is mended.
        files: names within it that will be written as files.
        folders: names within it that will be filled as folders.

    Raises:
        UserError: the folder cannot be made or written to, or a name in it is taken.
        Fault: its disk is full, read-only or broken.
    """
    run_dir = Path(run_dir)
    with told_of_writing(run_dir, then):
        run_dir.mkdir(parents=True, exist_ok=True)
        # Without a name, so that nothing is left of it whenever the process ends.
        with tempfile.TemporaryFile(dir=run_dir, buffering=0) as probe:
            probe.write(bytes(PROBE_BYTES))
        for path in (run_dir / name for name in files):
            if path.is_dir():
                raise UserError(f'{path} is a folder, in the place of a file: remove it')
        for path in (run_dir / name for name in folders):
            if path.exists() and not path.is_dir():
                raise UserError(f'{path} is a file, in the place of a folder: remove it')
