"""Images with classes: folders of class folders, maybe as parts, and lists of paths and classes."""

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from symmim_mm.datasets.folder_scan import EXTENSIONS, FolderScan
from symmim_mm.datasets.survey import survey
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic
from symmim_mm.utils.text import listed, short

SPLITS = ('val', 'valid', 'validation', 'test')  # next to train/: the first that is there
PARTS = {'train', 'training', 'trainval', 'dev', 'eval', 'testing', *SPLITS}  # no class is one


class Default(Enum):
    """What is validated on where nothing is said."""

    VAL = 'the part next to train/, else a share that is held out'


Validation = str | Path | float | None


def choose_parts(
    source: Path, val: Validation | Default, share: float
) -> tuple[Path, Validation, list[str]]:
    """Return the folder to train on and what to validate on, and lines on that choice.

    Args:
        source: ``train/`` in it, if a part for validation is next to it; else all of it.
        val: what is validated on, which goes before such a part.
        share: to hold out, where neither says anything.

    Raises:
        UserError: a folder of parts without ``train/`` or without another one next to it.
    """
    train = source / 'train'
    held = next((source / name for name in SPLITS if (source / name).is_dir()), None)
    if not train.is_dir() or not held:
        found = FolderScan(str(source)).folders() if source.is_dir() else []
        names = [name for name in found if not name.startswith('.')]
        if names and all(name.lower() in PARTS for name in names):
            raise UserError(
                f'{source} has the folders {listed(names, 6)}, which are no classes: call them '
                f'train and val, or name the folder of the class folders, e.g. {source / names[0]}'
            )
        return source, share if isinstance(val, Default) else val, []
    if isinstance(val, Default):
        return train, held, [f'{source} has parts: train/ is learned, {held.name}/ measured']
    unused = [] if isinstance(val, str | Path) else [f'{held} is not used: --val says otherwise']
    return train, val, unused


@dataclass(frozen=True)
class Labeled:
    """Labeled images: the config of their dataset, and the number of images by class."""

    folder: Path
    images: list[str]
    dataset: dict[str, Any]
    counts: Counter[str]

    @property
    def classes(self) -> list[str]:
        """Names, in the order of their numbers."""
        return list(self.counts)


def open_labeled(source: Path, written: Path, classes: Sequence[str] | None = None) -> Labeled:
    """Read a folder of class folders, or a list, which is written with class numbers.

    Raises:
        UserError: no labels there, or other classes than those given.
    """
    read: Callable[[Path], dict[str, str]] = _read_list if source.is_file() else _read_folder
    images = read(source)
    counts = Counter(dict(sorted(Counter(images.values()).items())))
    if len(counts) < 2:
        raise UserError(f'{source} has {len(counts)} class, and a classifier needs two at least')
    if classes is not None and list(classes) != list(counts):
        wrong = sorted(set(classes).symmetric_difference(counts))
        raise UserError(
            f'{source} has other classes than the training images: only one of them has '
            f'{listed(wrong, 6)}; upper and lower case differ: rename or remove the folders'
        )
    root = source.parent if source.is_file() else source
    dataset: dict[str, Any] = dict(data_root=str(root.resolve()), data_prefix='')
    if source.is_file():
        numbers = {name: number for number, name in enumerate(counts)}
        lines = (f'{path} {numbers[name]}\n' for path, name in images.items())
        write_atomic(written, ''.join(lines))
        dataset |= dict(ann_file=str(written.resolve()), classes=list(counts))
    return Labeled(root, list(images), dataset, counts)


def _read_folder(folder: Path) -> dict[str, str]:
    """Return the class of each image below a folder of class folders, by relative path."""
    images = survey(folder, sample=0).images
    if bare := [path for path in images if '/' not in path]:
        raise UserError(
            f'{folder}: {len(bare)} images are in no class folder, e.g. {bare[0]}: sort them into '
            'folders named by their classes, or give a list of paths and classes'
        )
    classes = {path: path.split('/')[0] for path in images}
    # Training takes every folder for a class.
    found = set(classes.values())
    for name in FolderScan(str(folder)).folders():
        if name.startswith('.') or name not in found:
            what = 'is hidden' if name.startswith('.') else 'has no images'
            raise UserError(
                f'{folder / name} {what}, and every folder is a class: remove it, or move it '
                f'elsewhere (images are {", ".join(EXTENSIONS)})'
            )
    return classes


def _read_list(file: Path) -> dict[str, str]:
    """Return the class of each image of a list, by path relative to it.

    A line is split at its last tab, comma or space, the first of these that leaves the path of an
    image. A file that ends in ``.csv`` may have quotes.

    Raises:
        UserError: a line that names no image, or an image of two classes, by its number.
    """
    try:
        text = io.StringIO(file.read_text(encoding='utf-8-sig'), newline=None)
    except ValueError as error:
        raise UserError(f'{file} is no text in UTF-8 ({error}): save it as such') from error
    images: dict[str, str] = {}
    entries = list(_fields(file, text))
    for place, (number, written, name) in enumerate(entries):
        path = os.path.normpath(written)
        if not os.path.isfile(file.parent / path):
            # Of a table, the first line often names the columns.
            header = place == 0 and entries[1:] and os.path.isfile(file.parent / entries[1][1])
            raise UserError(
                f'{file}, line {number}: no such image: {file.parent / path}'
                + ('; if the line is a header, remove it' if header else '')
            )
        if images.setdefault(path, name) != name:
            raise UserError(
                f'{file}, line {number}: {path} has the class {short(name)}, and in a line before '
                f'{short(images[path])}: keep one of them'
            )
    return images


def _fields(file: Path, text: io.StringIO) -> Iterator[tuple[int, str, str]]:
    """Yield the number of each line that is not empty, its path and its class."""
    rows: Iterator[tuple[int, list[str]]]
    if file.suffix.lower() == '.csv':
        reader = csv.reader(text, skipinitialspace=True)
        rows = ((reader.line_num, row) for row in reader)
    else:
        rows = ((number, [line.rstrip('\n')]) for number, line in enumerate(text, 1))
    try:
        for number, row in rows:
            if not any(field.strip() for field in row):
                continue
            parts = _split(file.parent, row[0].strip()) if len(row) == 1 else row
            path, name = map(str.strip, parts if len(parts) == 2 else ('', ''))
            if not path or not name:
                raise UserError(
                    f'{file}, line {number}: not a path and a class: {",".join(row)!r:.80}'
                )
            yield number, path, name
    except csv.Error as error:
        raise UserError(f'{file}, line {reader.line_num}: {error}: close its quotes') from error


def _split(folder: Path, line: str) -> tuple[str, str]:
    """Return the path and the class of a line."""
    ways = [(path, name) for path, found, name in map(line.rpartition, '\t, ') if found]
    known = (way for way in ways if os.path.isfile(folder / way[0].strip()))
    return next(known, ways[0] if ways else ('', ''))
