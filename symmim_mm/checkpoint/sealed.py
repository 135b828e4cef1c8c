"""Files that are written whole or not at all, and carry their own size and hash.

``torch.save`` writes a zip archive. The seal is the archive's comment, its very last bytes, which
no reader of archives minds: being inside the file it can neither be lost nor get out of step with
it, as a second file beside it could when a machine stops between the two.
"""

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import replacing

# End of a zip archive (APPNOTE.TXT 4.3.16): signature, 16 bytes, length of the comment (2 bytes,
# little-endian), comment.
ZIP_END = b'PK\x05\x06'
ZIP_END_SIZE = 22
SEAL = 'symmim_mm seal: {size:016d} bytes, sha256 {digest}'
SEAL_PATTERN = re.compile(rb'symmim_mm seal: (\d{16}) bytes, sha256 ([0-9a-f]{64})')
SEAL_SIZE = len(SEAL.format(size=0, digest='0' * 64))
CHUNK = 1 << 22


def is_plain_zip(data: bytes) -> bool:
    """Whether ``data`` is a zip archive without a comment, as ``torch.save`` writes it."""
    end = data[-ZIP_END_SIZE:]
    return len(end) == ZIP_END_SIZE and end.startswith(ZIP_END) and end.endswith(b'\0\0')


def write_sealed(data: bytes, path: str | Path) -> None:
    """Write a file whole or not at all, with a seal where it is a zip archive.

    The hash is taken while the disk writes, in another thread.

    Raises:
        OSError: the file could not be written; nothing is left of it.
    """
    sealed = is_plain_zip(data)
    body = memoryview(data)[:-2] if sealed else memoryview(data)
    with replacing(path) as file, ThreadPoolExecutor(1) as pool:
        digest = pool.submit(lambda: hashlib.sha256(body).hexdigest())
        file.write(body)
        if sealed:
            size = len(body) + 2 + SEAL_SIZE
            seal = SEAL.format(size=size, digest=digest.result()).encode()
            file.write(len(seal).to_bytes(2, 'little') + seal)


def check_seal(path: str | Path) -> bool:
    """Compare a file with its seal.

    Returns:
        ``True`` if it is as it was written, ``False`` if it has no seal.

    Raises:
        UserError: its size or its bytes are not those that were written.
    """
    path = Path(path)
    with open(path, 'rb') as file:
        size = os.fstat(file.fileno()).st_size
        if size < SEAL_SIZE + 2:
            return False
        file.seek(-SEAL_SIZE, os.SEEK_END)
        found = SEAL_PATTERN.fullmatch(file.read())
        if not found:
            return False
        if int(found[1]) != size:
            raise UserError(
                f'checkpoint {path} is damaged: it has {size} bytes and was written with '
                f'{int(found[1])}'
            )
        file.seek(0)
        digest = hashlib.sha256()
        left = size - SEAL_SIZE - 2
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
    if digest.hexdigest() != found[2].decode():
        raise UserError(f'checkpoint {path} is damaged: its bytes are not those that were written')
    return True
