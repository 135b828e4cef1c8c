"""Arrays in one file that is written whole or not at all and read through a memory map.

Layout: a mark of 8 bytes, the length of a JSON text (8 bytes, little-endian), the text (``meta``
and, for every array, dtype, shape and place), then the arrays, each at a multiple of 64 bytes.
Processes that read the same file share its memory.
"""

import json
import os
from typing import BinaryIO

import numpy as np

from symmim_mm.utils.files import replacing
from symmim_mm.utils.paths import open_regular

MARK = b'symmim1\n'
ALIGNMENT = 64
# What a head raises that is JSON, and not as it is written here.
UNLIKE_WRITTEN = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError
)  # fmt: skip


def write_arrays(
    path: str | os.PathLike, meta: dict, arrays: dict[str, np.ndarray], lasting: bool = True
) -> None:
    """Write arrays, and anything that JSON can hold, to a file.

    Readers see the old file or all of the new one.

    Args:
        lasting: wait for the disk, so that this holds also when the machine stops.

    Raises:
        OSError: the file could not be written; nothing is left of it.
    """
    places, place = {}, 0
    for name, array in arrays.items():
        places[name] = dict(dtype=array.dtype.str, shape=array.shape, place=place)
        place += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    text = json.dumps(dict(meta=meta, arrays=places, size=place)).encode()
    head = MARK + len(text).to_bytes(8, 'little') + text
    with replacing(path, lasting) as file:
        file.write(_padded(head))
        for array in arrays.values():
            file.write(_padded(np.ascontiguousarray(array).tobytes()))


def read_arrays(path: str | os.PathLike) -> tuple[dict, dict[str, np.ndarray]]:
    """``(meta, arrays)`` of a file; the arrays are read-only and stay on disk until touched.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such file, or damaged.
    """
    with open_regular(path) as file:
        try:
            return _parsed(file)
        except UNLIKE_WRITTEN as error:
            raise ValueError(f'{path} is damaged: {error}') from error


def check_columns(arrays: dict[str, np.ndarray], dtypes: dict[str, type]) -> None:
    """See that arrays are vectors of these names and dtypes, and no others.

    Raises:
        ValueError: they are not; says which.
    """
    found = {name: (array.ndim, array.dtype) for name, array in arrays.items()}
    wanted = {name: (1, np.dtype(dtype)) for name, dtype in dtypes.items()}
    if wrong := [name for name in wanted | found if found.get(name) != wanted.get(name)]:
        raise ValueError(f'its columns {", ".join(sorted(wrong))!s:.80} are not those expected')


def _parsed(file: BinaryIO) -> tuple[dict, dict[str, np.ndarray]]:
    mark, length = file.read(len(MARK)), int.from_bytes(file.read(8), 'little')
    size = os.fstat(file.fileno()).st_size
    if mark != MARK or not 0 < length < size:
        raise ValueError('it is not a file of arrays')
    head = json.loads(file.read(length))
    start = len(_padded(bytes(len(MARK) + 8 + length)))
    if size != start + head['size']:
        raise ValueError('it is incomplete')
    if not isinstance(head['meta'], dict):
        raise TypeError('its meta data are not named')
    # Nothing can be mapped where nothing is.
    data = np.memmap(file, np.uint8, 'r', start) if head['size'] else np.frombuffer(b'', 'u1')
    arrays = {}
    for name, where in head['arrays'].items():
        dtype = np.dtype(where['dtype'])
        count = int(np.prod(where['shape'], dtype=np.int64))
        part = data[where['place'] : where['place'] + count * dtype.itemsize]
        # A plain array over the map: indexing a memmap costs microseconds more.
        arrays[name] = np.asarray(part).view(dtype).reshape(where['shape'])
    return head['meta'], arrays


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
