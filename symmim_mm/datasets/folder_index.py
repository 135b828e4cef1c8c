"""The list of images below a folder, kept in a file so that the folder is walked only once."""

import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from symmim_mm.datasets.folder_scan import FolderScan, folders_changed
from symmim_mm.datasets.image_table import ImageTable, pack_names, read_table, write_table
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.locks import file_lock
from symmim_mm.utils.progress import progress_bar

VERSION = 3
STEP = 4096  # images between two reports of progress


def open_index(
    root: str, extensions: tuple[str, ...], labeled: bool, cache: str | os.PathLike | None = None
) -> ImageTable:
    """Open the index of a folder: from its file if no folder changed since, or by walking it.

    Images that are overwritten in place stay the same images here. Where several processes ask at
    once, one walks and the others wait for it.

    Args:
        root: the folder.
        extensions: of images, in lower case, with the dot.
        labeled: whether the folders directly below the root are classes.
        cache: folder to keep the file in; default ``$XDG_CACHE_HOME/symmim_mm/index``.

    Raises:
        UserError: the folder cannot be read.
    """
    root = os.path.realpath(root)
    if not os.path.isdir(root):
        raise UserError(f'there is no folder {root}')
    if cache is None:
        base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
        cache = Path(base, 'symmim_mm', 'index')
    wanted = dict(version=VERSION, root=root, extensions=sorted(extensions), labeled=labeled)
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    name = f'{os.path.basename(root) or "root"}-{digest}.index'
    file = Path(cache).expanduser() / name
    if found := _read(file, wanted):
        return found
    with file_lock(file.with_suffix('.lock')):
        return _read(file, wanted) or _scan(file, wanted)


def _read(file: Path, wanted: dict) -> ImageTable | None:
    """Return the index in a file, None if there is none, or it is out of date or damaged."""
    try:
        meta, columns = read_table(file)
    except (OSError, ValueError):
        return None
    if wanted.items() <= meta.items() and not folders_changed(wanted['root'], meta['folders']):
        return ImageTable(columns, meta['classes'])
    return None


def _scan(file: Path, wanted: dict) -> ImageTable:
    root, start = wanted['root'], time.monotonic()
    scan = FolderScan(root, tuple(wanted['extensions']))
    classes = scan.folders() if wanted['labeled'] else None
    groups: list[list[str]] = []
    count = 0
    with progress_bar(f'finding images below {root}') as advance:
        for folder in [''] if classes is None else classes:
            groups.append([])
            for path in scan.images(folder):
                groups[-1].append(path)
                count += 1
                if count % STEP == 0:
                    advance(STEP)
    columns = pack_names(name for group in groups for name in sorted(group))
    if classes is not None:
        numbers = np.arange(len(classes), dtype=np.int32)
        columns['labels'] = np.repeat(numbers, [len(group) for group in groups])
    meta = dict(wanted, classes=classes, folders=scan.folder_times)
    found = f'{count} images below {root} found in {time.monotonic() - start:.1f} s'
    try:
        write_table(file, meta, columns)
    except OSError as error:
        print_log(f'{found}; the list cannot be kept in {file}: {error.strerror}', 'current')
        return ImageTable(columns, classes)
    print_log(f'{found}; the list is kept in {file}', 'current')
    return ImageTable(read_table(file)[1], classes)
