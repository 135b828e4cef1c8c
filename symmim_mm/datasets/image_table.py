"""Tables of images: names, maybe labels, and further columns, each table in one safetensors file.

The file is read through a memory map, so that all processes of a machine share its memory.
"""

import json
import os
from collections.abc import Iterable

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from symmim_mm.utils.files import write_atomic
from symmim_mm.utils.paths import open_regular

Columns = dict[str, np.ndarray]


def write_table(path: str | os.PathLike, meta: dict, columns: Columns) -> None:
    """Write columns, arrays of any shape, and a JSON object to a file, whole or not at all."""
    write_atomic(path, save(columns, {'meta': json.dumps(meta)}))


def read_table(path: str | os.PathLike) -> tuple[dict, Columns]:
    """Return ``(meta, columns)`` of a file; columns are read-only and on disk until touched.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no table, or damaged.
    """
    open_regular(path).close()
    try:
        # As tensors, since safetensors copies what it gives as NumPy arrays.
        with safe_open(path, 'pt') as file:
            meta = json.loads(file.metadata()['meta'])
            columns = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f'{path} is damaged: {error}') from error
    if not isinstance(meta, dict):
        raise ValueError(f'{path} is damaged: its metadata are not an object')
    for column in columns.values():
        column.flags.writeable = False
    return meta, columns


def pack_names(names: Iterable[str]) -> Columns:
    """Return the columns of file names: ``text``, each followed by a NUL, and ``ends``, where."""
    joined = '\0'.join([*names, ''])
    text = np.frombuffer(os.fsencode(joined), np.uint8)
    return dict(text=text, ends=np.flatnonzero(text == 0))


class ImageTable:
    """Images of a dataset by position; nothing of it changes, so that copies share it.

    Args:
        columns: one row an image: those of :func:`pack_names`, maybe ``labels``, int32, and others.
        classes: names of the labels, None for a table without.
    """

    def __init__(self, columns: Columns, classes: list[str] | None) -> None:
        self.columns = columns
        self.classes = classes
        self.labels: np.ndarray | None = columns.get('labels')

    def __len__(self) -> int:
        return len(self.columns['ends'])

    def __deepcopy__(self, memo: dict) -> 'ImageTable':
        return self

    def path(self, index: int) -> str:
        """Return the name of an image, ``0 <= index < len(self)``."""
        ends = self.columns['ends']
        start = ends[index - 1] + 1 if index else 0
        return os.fsdecode(self.columns['text'][start : ends[index]].tobytes())
