"""The record a finished run leaves in its work directory (``result.json``).

Nothing here imports torch when the module is imported: reading a few dozen records must take
milliseconds.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from symmim_mm.config import TASKS
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256, write_atomic
from symmim_mm.utils.paths import file_inside
from symmim_mm.utils.text import is_text

SCHEMA = 1
FILE_NAME = 'result.json'
MOST_BYTES = 1 << 24
LARGEST = 1e100
# Metrics that are percentages; every other metric (a loss) may take any finite value.
PERCENT = ('top1', 'top5', 'box_ap', 'box_ap50', 'mask_ap', 'mask_ap50', 'miou', 'macc')

_HASH = re.compile(r'[0-9a-f]{64}')


@dataclass(kw_only=True)
class Record:
    """What a finished run was and what it reached.

    ``metrics`` and ``chance`` (the level of blind guessing) are in percent, 0..100, except
    losses. ``curve``, ``pictures`` and ``checkpoint`` are paths relative to the run directory;
    an evaluation without training has ``None`` for ``checkpoint`` and ``curve``. ``duration_s``
    is in seconds, ``peak_memory_mib`` in MiB, ``started`` and ``finished`` are ISO 8601 in UTC.
    """

    schema: int = SCHEMA
    run: str
    method: str
    arch: str
    task: str
    dataset: str
    config: str
    config_sha256: str
    checkpoint: str | None = None
    checkpoint_sha256: str | None = None
    backbone: str | None = None
    backbone_sha256: str | None = None
    parent: str | None = None
    seed: int
    metrics: dict[str, float]
    chance: dict[str, float] = field(default_factory=dict)
    curve: str | None = None
    pictures: list[str] = field(default_factory=list)
    hardware: dict[str, Any]
    versions: dict[str, str]
    images: int | None = None
    duration_s: float
    peak_memory_mib: float | None = None
    started: str
    finished: str

    def fault(self) -> str | None:
        """The first thing that is wrong with the fields, or ``None``."""
        return _fault(asdict(self))

    def write(self, run_dir: str | Path) -> Path:
        """Check the record and write it into ``run_dir`` in one step (all of it or nothing).

        Raises:
            ValueError: a field is not valid.
            OSError: the file could not be written.
        """
        if fault := self.fault():
            raise ValueError(f'not a valid result record: {fault}')
        path = Path(run_dir) / FILE_NAME
        write_atomic(path, json.dumps(asdict(self), indent=2, allow_nan=False) + '\n')
        return path

    @classmethod
    def read(cls, path: str | Path) -> 'Record':
        """Read one record.

        Raises:
            UserError: the file cannot be read or is not in its folder, is not JSON, or has a
                missing, unknown or invalid field. The message names the file and the fault.
        """
        path = Path(path)
        try:
            text = file_inside(path.parent, path.name, MOST_BYTES).read_text(encoding='utf-8')
            data = json.loads(text)
            # An escape such as \ud800 is half a character, which no file can be written with.
            json.dumps(data, ensure_ascii=False).encode('utf-8')
            fault = _fault(data)
        except OSError as error:
            raise UserError(f'{path}: cannot be read: {error.strerror}') from error
        except (ValueError, RecursionError) as error:
            raise UserError(f'{path}: not a JSON file: {error}') from error
        if fault:
            raise UserError(f'{path}: not a valid result record: {fault}')
        return cls(**data)


def _fault(data: Any) -> str | None:
    """The first thing that is wrong with the fields of a record, or ``None``."""
    if not isinstance(data, dict):
        return f'expected an object, got {type(data).__name__}'
    if data.get('schema') != SCHEMA:
        return f'schema {data.get("schema")!r}, this version reads schema {SCHEMA}'
    names = {item.name for item in fields(Record)}
    for what, odd in (('missing', names - data.keys()), ('unknown', data.keys() - names)):
        if odd:
            return f'{what} field: {", ".join(sorted(map(str, odd)))}'
    for name, check, wanted in _CHECKS:
        if not check(data[name]):
            return f'{name} must be {wanted}, got {str(data[name])[:80]!r}'
    for name in ('metrics', 'chance'):
        for metric in PERCENT:
            if not 0 <= data[name].get(metric, 0) <= 100:
                return f'{name}.{metric} must be a percentage in 0..100, got {data[name][metric]}'
    if (data['checkpoint'] is None) != (data['checkpoint_sha256'] is None):
        return 'checkpoint and checkpoint_sha256 must both be given or both be null'
    return None


def is_number(value: Any) -> bool:
    """Whether a value read from JSON is a finite number that can be computed with."""
    # A comparison, unlike math.isfinite, also takes whole numbers of any length.
    return type(value) in (int, float) and -LARGEST < value < LARGEST


def _whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 1 << 63


def _inside(value: Any) -> bool:
    """A relative path that stays below the run directory."""
    return is_text(value) and not value.startswith('/') and '..' not in PurePosixPath(value).parts


def _hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_number, value.values()))


def _moment(value: Any) -> bool:
    try:
        moment = datetime.fromisoformat(value)
        moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return False
    return moment.tzinfo is not None


def _machine(value: Any) -> bool:
    """Texts and counts; ``null`` is not known."""
    return isinstance(value, dict) and all(
        item is None or (isinstance(item, str) if name in ('cpu', 'gpu') else _count(item))
        for name, item in value.items()
    )


def _count(value: Any) -> bool:
    return _whole(value) and value >= 0


def _optional(check: Any) -> Any:
    return lambda value: value is None or check(value)


_CHECKS = (
    *(
        (name, is_text, 'a text in UTF-8')
        for name in ('run', 'method', 'arch', 'dataset', 'config')
    ),
    ('task', lambda value: value in TASKS, 'one of ' + ', '.join(TASKS)),
    ('config_sha256', _hash, '64 hexadecimal digits'),
    ('checkpoint', _optional(_inside), 'a path below the run directory or null'),
    ('checkpoint_sha256', _optional(_hash), '64 hexadecimal digits or null'),
    ('backbone', _optional(is_text), 'a path or null'),
    ('backbone_sha256', _optional(_hash), '64 hexadecimal digits or null'),
    ('parent', _optional(is_text), 'a run name or null'),
    ('seed', _whole, 'a whole number'),
    ('metrics', _numbers, 'an object of finite numbers'),
    ('chance', _numbers, 'an object of finite numbers'),
    ('curve', _optional(_inside), 'a path below the run directory or null'),
    (
        'pictures',
        lambda value: isinstance(value, list) and all(map(_inside, value)),
        'a list of paths below the run directory',
    ),
    ('hardware', _machine, 'an object of cpu and gpu, texts, and of counts'),
    (
        'versions',
        lambda value: isinstance(value, dict) and all(map(is_text, value.values())),
        'an object of texts',
    ),
    ('images', _optional(_count), 'a count or null'),
    ('duration_s', lambda value: is_number(value) and value >= 0, 'seconds >= 0'),
    ('peak_memory_mib', _optional(lambda value: is_number(value) and value >= 0), 'MiB or null'),
    ('started', _moment, 'an ISO 8601 time with its zone'),
    ('finished', _moment, 'an ISO 8601 time with its zone'),
)


def find_records(folders: Iterable[str | Path]) -> list[Path]:
    """Paths of all ``result.json`` in and below ``folders``, sorted, each once.

    Hidden directories are left out (a suite keeps replaced runs in one). ``UserError`` names a
    folder that does not exist.
    """
    found: dict[str, Path] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f'{folder}: no such directory; give the directory of a suite or a run')
        for base, names, files in os.walk(folder):
            names[:] = sorted(name for name in names if not name.startswith('.'))
            if FILE_NAME in files:
                path = Path(base) / FILE_NAME
                found.setdefault(os.path.realpath(path), path)
    return [found[key] for key in sorted(found)]


def parent_of(backbone: str | Path) -> Record | None:
    """The record beside a checkpoint file, where it is about exactly this file.

    ``None`` when there is no record or the file is not the one that the record names by hash.
    """
    path = Path(backbone).parent / FILE_NAME
    if not path.is_file():
        return None
    record = Record.read(path)
    return record if record.checkpoint_sha256 == file_sha256(backbone) else None
