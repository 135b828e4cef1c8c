"""The manifest of a prepared set, whose every field is checked before anything goes by it."""

import json
import os
import re
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from symmim_mm.datasets.shards.writer import shard_name
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.paths import open_regular

FORMAT = 1
MANIFEST = 'manifest.json'
MEND = 'copy it again, or call tools/prepare_dataset.py with the same options again'


class Shard(NamedTuple):
    """What a manifest says of a shard; ``bytes`` and ``sha256`` are those of the whole file."""

    name: str
    pictures: int
    bytes: int
    sha256: str


class Manifest(NamedTuple):
    """What a manifest says of a finished set.

    Args:
        classes: names of the labels from 0, None of pictures without.
        pictures: number of all.
        skipped: pictures of the source that were left out.
        shards: in the order of their numbers.
        list_sha256: of the file that lists the pictures; None in the sets of a version that did
            not keep it.
    """

    classes: list[str] | None
    pictures: int
    skipped: list[str]
    shards: list[Shard]
    list_sha256: str | None


def is_prepared(folder: str | os.PathLike) -> bool:
    """Whether a folder holds a prepared set, maybe an unfinished one."""
    return read_manifest(folder) is not None


def read_manifest(folder: str | os.PathLike) -> dict | None:
    """The manifest of a prepared set as it is written, None where there is none."""
    try:
        with open_regular(Path(folder, MANIFEST)) as file:
            manifest = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return manifest if isinstance(manifest, dict) and 'prepared_pictures' in manifest else None


def finished_manifest(folder: str | os.PathLike) -> Manifest:
    """The manifest of a finished set, checked.

    Raises:
        UserError: there is no set, or it is unfinished or of another format, or the manifest says
            what is never written; names the field.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(f'{folder} holds no prepared pictures: see tools/prepare_dataset.py')
    if manifest['prepared_pictures'] != FORMAT:
        raise UserError(
            f'{folder} was prepared in format {reprlib.repr(manifest["prepared_pictures"])}, '
            f'this is {FORMAT}: prepare it again'
        )
    if not manifest.get('complete'):
        raise UserError(
            f'{folder} is not prepared to the end: call tools/prepare_dataset.py with the '
            'same options again'
        )
    try:
        return _checked(manifest)
    except ValueError as error:
        raise UserError(f'{Path(folder, MANIFEST)} is damaged: {error}: {MEND}') from error


def _checked(manifest: dict) -> Manifest:
    parts = _field(manifest, 'shards', lambda value: isinstance(value, list), 'a list')
    shards = [_shard(number, part) for number, part in enumerate(parts)]
    pictures = sum(shard.pictures for shard in shards)
    sha256 = None
    if 'list_sha256' in manifest:
        sha256 = _field(manifest, 'list_sha256', _is_sha256, 'a SHA-256')
    return Manifest(
        classes=_field(
            manifest, 'classes', lambda value: value is None or _are_texts(value), 'names or null'
        ),
        pictures=_field(
            manifest, 'pictures', _is(pictures), f'{pictures}, which those of the shards make'
        ),
        skipped=_field(manifest, 'skipped', _are_texts, 'names'),
        shards=shards,
        list_sha256=sha256,
    )


def _shard(number: int, part: object) -> Shard:
    at = f'shards[{number}]'
    if not isinstance(part, dict):
        raise ValueError(f'{at} is {reprlib.repr(part)} instead of an object')
    name = shard_name(number)  # no other: a name could lead out of the folder
    return Shard(
        name=_field(part, 'name', _is(name), name, at),
        pictures=_field(part, 'pictures', _is_count, 'a whole number', at),
        bytes=_field(part, 'bytes', _is_count, 'a whole number', at),
        sha256=_field(part, 'sha256', _is_sha256, 'a SHA-256', at),
    )


def _field(
    holder: dict, key: str, fits: Callable[[Any], bool], expected: str, within: str = ''
) -> Any:
    """A value of a manifest that has to fit."""
    place = f'{within}.{key}' if within else key
    if key not in holder:
        raise ValueError(f'{place} is missing')
    if not fits(holder[key]):
        raise ValueError(f'{place} is {reprlib.repr(holder[key])} instead of {expected}')
    return holder[key]


def _is(expected: str | int) -> Callable[[Any], bool]:
    return lambda value: type(value) is type(expected) and value == expected


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch('[0-9a-f]{64}', value) is not None


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
