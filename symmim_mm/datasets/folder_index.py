"""The list of pictures below a folder, kept in a file so that the folder is walked only once."""

import fcntl
import hashlib
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from symmim_mm.datasets.array_file import check_columns, read_arrays, write_arrays
from symmim_mm.datasets.folder_scan import Scan, folders_changed
from symmim_mm.datasets.packed_strings import are_packed, name_at, pack_names
from symmim_mm.utils.errors import UserError

VERSION = 1
REPORT_SECONDS = 10.0
COLUMNS = dict(
    text=np.uint8, ends=np.int64, folder_text=np.uint8, folder_ends=np.int64, folder_times=np.int64
)
LABELS = dict(labels=np.int32)  # of an index with classes


class FolderIndex:
    """Paths, and maybe classes, of the pictures below a folder.

    Copies share its memory: those in forked workers, in spawned ones (where the file is opened
    again) and deep copies.

    Args:
        meta: ``root``, ``classes`` (None without labels), ``stamp``.
        arrays: ``text``, ``ends`` of the paths, ``labels`` (with classes).
        file: where it is kept, None if it is not.
    """

    def __init__(self, meta: dict, arrays: dict[str, np.ndarray], file: Path | None) -> None:
        self.meta = meta
        self.arrays = arrays
        self.file = file
        self.text, self.ends = arrays['text'], arrays['ends']
        self.labels = arrays.get('labels')

    @property
    def classes(self) -> list[str] | None:
        return self.meta['classes']

    def __len__(self) -> int:
        return len(self.ends)

    def path(self, index: int) -> str:
        """Path of a picture from the root; ``0 <= index < len(self)``."""
        return name_at(self.text, self.ends, index)

    def __deepcopy__(self, memo: dict) -> 'FolderIndex':
        return self  # nothing here changes

    def __reduce__(self) -> tuple[Callable, tuple]:
        if self.file is None:
            return FolderIndex, (self.meta, self.arrays, None)
        return _reopen, (self.file, self.meta['stamp'])


def open_index(
    root: str, extensions: tuple[str, ...], labelled: bool, cache: str | os.PathLike | None = None
) -> FolderIndex:
    """The index of a folder: from its file if no folder changed since, or by walking through it.

    A folder counts as changed by its time stamp, which every added, removed or renamed entry
    renews; pictures that are overwritten in place stay the same pictures here. Where several
    processes ask at once, one walks and the others wait for it.

    Args:
        root: the folder.
        extensions: of pictures, in lower case, with the dot.
        labelled: whether the folders directly below the root are classes.
        cache: folder to keep the file in; default ``$XDG_CACHE_HOME/symmim_mm/index``.

    Raises:
        UserError: the folder cannot be read.
    """
    root = os.path.realpath(root)
    if not os.path.isdir(root):
        raise UserError(f'there is no folder {root}')
    wanted = dict(version=VERSION, root=root, extensions=sorted(extensions), labelled=labelled)
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    file = _cache_folder(cache) / f'{os.path.basename(root) or "root"}-{digest}.index'
    if found := _read(file, wanted):
        return found
    with _locked(file):
        return _read(file, wanted) or _scan(file, wanted)


def _cache_folder(cache: str | os.PathLike | None) -> Path:
    if cache is not None:
        return Path(cache).expanduser()
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base, 'symmim_mm', 'index')


def _read(file: Path, wanted: dict) -> FolderIndex | None:
    """The index in a file, None if there is none, or it is out of date or damaged."""
    try:
        meta, arrays = read_arrays(file)
    except (OSError, ValueError):
        return None
    if any(meta.get(key) != value for key, value in wanted.items()):
        return None
    if not _is_index(meta, arrays):
        return None
    folders = [
        name_at(arrays['folder_text'], arrays['folder_ends'], index)
        for index in range(len(arrays['folder_ends']))
    ]
    if folders_changed(wanted['root'], folders, arrays['folder_times']):
        return None
    return FolderIndex(meta, arrays, file)


def _is_index(meta: dict, arrays: dict[str, np.ndarray]) -> bool:
    """Whether the content of a file of arrays is what :func:`_scan` writes."""
    try:
        check_columns(arrays, COLUMNS | (LABELS if meta['labelled'] else {}))
    except ValueError:
        return False
    return (
        isinstance(meta.get('stamp'), str)
        and are_packed(arrays['text'], arrays['ends'])
        and are_packed(arrays['folder_text'], arrays['folder_ends'])
        and len(arrays['folder_times']) == len(arrays['folder_ends'])
        and _are_labels(arrays.get('labels'), meta.get('classes'), len(arrays['ends']))
    )


def _are_labels(labels: np.ndarray | None, classes: object, pictures: int) -> bool:
    """Whether every picture has a label below the number of classes, or there are neither."""
    if labels is None:
        return classes is None
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        return False
    return len(labels) == pictures and bool(((labels >= 0) & (labels < len(classes))).all())


def _scan(file: Path, wanted: dict) -> FolderIndex:
    root, start = wanted['root'], time.monotonic()
    with _reporter(root) as report:
        scan = Scan(root, tuple(wanted['extensions']), report)
        classes = None
        if wanted['labelled']:
            classes, arrays = scan.labelled()
        else:
            arrays = scan.unlabelled()
    text, ends = pack_names(folder.name for folder in scan.folders)
    times = np.array([folder.changed for folder in scan.folders], np.int64)
    arrays |= dict(folder_text=text, folder_ends=ends, folder_times=times)
    meta = dict(wanted, classes=classes, stamp=uuid.uuid4().hex)
    took = f'{len(arrays["ends"])} pictures below {root} found in {time.monotonic() - start:.1f} s'
    try:
        write_arrays(file, meta, arrays, lasting=False)
    except OSError as error:
        print_log(f'{took}; the list cannot be kept in {file}: {error.strerror}', 'current')
        return FolderIndex(meta, arrays, None)
    print_log(f'{took}; the list is kept in {file}', 'current')
    return FolderIndex(*read_arrays(file), file)


def _reopen(file: Path, stamp: str) -> FolderIndex:
    meta, arrays = read_arrays(file)
    if meta['stamp'] != stamp:
        raise UserError(f'{meta["root"]} changed while it was in use: start again')
    return FolderIndex(meta, arrays, file)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock beside a file; without one where the place takes none."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(file.with_suffix('.lock'), os.O_CREAT | os.O_RDWR, 0o644)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):  # a network disk without locks: two may do the same work
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextmanager
def _reporter(root: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how far a scan is: on a terminal at once, in a log every few seconds."""
    text = 'looking for pictures below {}: {} in {} folders'
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(text.format(root, 0, 0)) as status:
            yield lambda found, folders: status.update(text.format(root, found, folders))
        return
    last = time.monotonic()

    def log(found: int, folders: int) -> None:
        nonlocal last
        if time.monotonic() - last >= REPORT_SECONDS:
            last = time.monotonic()
            print_log(text.format(root, found, folders), 'current')

    yield log
