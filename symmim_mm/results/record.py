"""The record a finished run leaves in its work directory (``result.json``).

Importing this module imports no torch: reading a few dozen records must take milliseconds.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self, TypeGuard

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from symmim_mm.config import TASKS
from symmim_mm.results.metrics import METRICS
from symmim_mm.utils.errors import UserError, from_validation_error
from symmim_mm.utils.files import file_sha256, write_atomic
from symmim_mm.utils.paths import file_inside

SCHEMA = 1
FILE_NAME = 'result.json'
MOST_BYTES = 1 << 24
LARGEST = 1e100


def _below_the_run(path: str) -> str:
    if path.startswith('/') or '..' in PurePosixPath(path).parts:
        raise ValueError('must be a path below the run directory')
    return path


def _time_with_zone(text: str) -> str:
    with suppress(ValueError, OverflowError):
        time = datetime.fromisoformat(text)
        if time.tzinfo and time.astimezone(UTC):
            return text
    raise ValueError('must be an ISO 8601 time with its zone')


# A length makes pydantic look into a string: one that UTF-8 cannot hold is refused.
Text = Annotated[str, StringConstraints(min_length=1)]
Sha256 = Annotated[str, StringConstraints(pattern='^[0-9a-f]{64}$')]
RunPath = Annotated[Text, AfterValidator(_below_the_run)]
Time = Annotated[str, AfterValidator(_time_with_zone)]
Integer = Annotated[int, Field(gt=-(1 << 63), lt=1 << 63)]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Number = Annotated[float, Field(gt=-LARGEST, lt=LARGEST, allow_inf_nan=False)]
Positive = Annotated[Number, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra='forbid')


class Hardware(_Strict):
    """The machine of a run: cores this process may use, GPUs and processes; ``None`` is unknown."""

    cpu: str | None = None
    cores: Count | None = None
    gpu: str | None = None
    gpus: Count | None = None
    world_size: Count | None = None


class Split(_Strict):
    """The images of a loader; ``classes`` is ``None`` without labels.

    The fingerprint is the SHA-256 of the annotation file or, where there is none, of the paths of
    the images, which says nothing of their content; ``None`` where a dataset has neither.
    """

    images: Count
    classes: Count | None = None
    fingerprint: Sha256 | None = None


class Data(_Strict):
    """What a run read, found in the data themselves; a pre-training has no ``val``."""

    train: Split
    val: Split | None = None


class Batch(_Strict):
    """How a step is split, which is what BatchNorm sees, and the negatives of each query."""

    micro_batch: Count
    processes: Count
    accumulation: Count
    negatives: Count | None = None
    batch_norm: bool


class Record(_Strict):
    """What a finished run was and what it reached.

    ``metrics`` and ``chance`` (the level of blind guessing) are in percent, 0..100, except
    losses. ``curve``, ``figures`` (drawn images) and ``checkpoint`` are paths relative to the run
    directory; an evaluation without training has ``None`` for ``checkpoint`` and ``curve``.
    ``findings`` are sentences on the images, for the page.
    ``backbone`` is the file that a run started from, named by an option or in the config itself.
    ``overrides`` are the options that changed the config, ``key=value`` (``None``: of a version
    that did not record them).
    ``dataset`` is the name that the config gives the data, ``data`` what they are (``None``: of a
    version that did not record it). ``images`` is the number of images that the run read, of so
    many ``channels``, ``flops_per_image`` those of forward and backward pass. ``duration_s`` is in
    seconds, ``device_s`` times the processes of each attempt (``None``: those of the last one),
    ``peak_memory_mib`` in MiB, ``started`` and ``finished`` are ISO 8601 in UTC.
    """

    # Not `schema`, which pydantic keeps for itself; the file says `schema`.
    schema_: int = Field(alias='schema')
    run: Text
    method: Text
    arch: Text
    task: Literal[TASKS]  # type: ignore[valid-type]
    dataset: Text
    data: Data | None = None
    config: Text
    config_sha256: Sha256
    overrides: list[Text] | None = None
    checkpoint: RunPath | None = None
    checkpoint_sha256: Sha256 | None = None
    backbone: Text | None = None
    backbone_sha256: Sha256 | None = None
    backbone_in_config: bool = False
    parent: Text | None = None
    seed: Integer
    batch: Batch | None = None
    metrics: dict[str, Number]
    chance: dict[str, Number] = {}
    curve: RunPath | None = None
    figures: list[RunPath] = []
    findings: list[Text] = []
    hardware: Hardware
    versions: dict[str, Text]
    images: Count | None = None
    flops_per_image: Count | None = None
    channels: Count = 3
    duration_s: Positive
    device_s: Positive | None = None
    peak_memory_mib: Positive | None = None
    started: Time
    finished: Time

    @model_validator(mode='before')
    @classmethod
    def _check_schema(cls, data: object) -> object:
        if isinstance(data, dict) and data.get('schema') != SCHEMA:
            raise ValueError(
                f'schema {data.get("schema")!r:.80}, this version reads schema {SCHEMA}'
            )
        return data

    @model_validator(mode='after')
    def _check(self) -> Self:
        for name in ('metrics', 'chance'):
            values = getattr(self, name)
            for metric in METRICS:  # percentages; a loss may take any finite value
                if not 0 <= values.get(metric, 0) <= 100:
                    raise ValueError(
                        f'{name}.{metric} must be a percentage in 0..100, got {values[metric]}'
                    )
        if (self.checkpoint is None) != (self.checkpoint_sha256 is None):
            raise ValueError('checkpoint and checkpoint_sha256 must both be given or both be null')
        return self

    def write(self, run_dir: str | Path) -> Path:
        """Check the record and write it into ``run_dir`` in one step (all of it or nothing).

        Raises:
            ValueError: a field is not valid.
            OSError: the file could not be written.
        """
        content = self.model_dump(by_alias=True)
        Record.model_validate(content)
        path = Path(run_dir) / FILE_NAME
        write_atomic(path, json.dumps(content, indent=2, allow_nan=False) + '\n')
        return path

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read one record.

        Raises:
            UserError: the file cannot be read or is not in its folder, is not JSON, or has a
                missing, unknown or invalid field. The message names the file and the problem.
        """
        path = Path(path)
        try:
            content = file_inside(path.parent, path.name, MOST_BYTES).read_bytes()
            return cls.model_validate_json(content)
        except OSError as error:
            raise UserError(f'{path}: cannot be read: {error.strerror}') from error
        except ValidationError as error:
            problem = from_validation_error(error)
            raise UserError(f'{path}: not a valid result record: {problem}') from error


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value read from JSON is a finite number that can be computed with."""
    # A comparison, unlike math.isfinite, also takes integers of any length.
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return -LARGEST < value < LARGEST


def find_records(folders: Iterable[str | Path]) -> list[Path]:
    """Return the paths of all ``result.json`` in and below ``folders``, sorted, each once.

    Hidden directories are left out (a suite keeps replaced runs in one).

    Raises:
        UserError: a folder does not exist.
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
    """Return the record next to a checkpoint file, if it names exactly this file by its hash."""
    path = Path(backbone).parent / FILE_NAME
    if not path.is_file():
        return None
    record = Record.read(path)
    return record if record.checkpoint_sha256 == file_sha256(backbone) else None
