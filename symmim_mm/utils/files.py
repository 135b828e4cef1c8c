"""Files that are written whole or not at all, and their hashes."""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PART = '.part'


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open an empty file next to ``path`` that takes its name when the block ends without an error.

    Readers see the old file or all of the new one, also when the machine stops. After an error
    nothing is left of the new one; a process that is killed leaves a hidden file, which
    :func:`remove_parts` removes.

    Args:
        path: of the file to write; its folder is created.

    Yields:
        The file, open for writing bytes.

    Raises:
        OSError: the file could not be written, or is a device.
    """
    path = Path(path)
    if path.is_char_device() or path.is_block_device():  # root could replace /dev/null
        raise FileExistsError(errno.EEXIST, 'A device, not replaced by a file', str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes that write the same file do not write the same part.
    part = path.with_name(f'.{path.name}.{secrets.token_hex(4)}{PART}')
    try:
        with open(part, 'xb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too, must survive a crash
    finally:
        os.close(folder)


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write all of a file as :func:`replacing` does, text as UTF-8."""
    with replacing(path) as file:
        file.write(content.encode('utf-8') if isinstance(content, str) else content)


def remove_parts(folder: str | Path) -> None:
    """Remove what processes that were killed while writing left in a folder."""
    for part in Path(folder).glob(f'.*{PART}'):
        part.unlink(missing_ok=True)


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
