"""The manifest of a dataset in shards, checked before anything is read by it."""

import json
import os
import reprlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError, model_validator

from symmim_mm.utils.errors import UserError, from_validation_error
from symmim_mm.utils.files import write_atomic
from symmim_mm.utils.paths import open_regular

FORMAT_KEY, FORMAT = 'image_shards', 1
MANIFEST, LIST = 'manifest.json', 'images.safetensors'
FIX = 'copy it again, or run tools/prepare_dataset.py with the same options again'

Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern='^[0-9a-f]{64}$')]
FileName = InstanceOf[str]  # may hold bytes that are not UTF-8


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Options(_Model):
    """Options that change the bytes of the shards."""

    short_side: Annotated[int, Field(ge=32, le=4096)]
    quality: Annotated[int, Field(ge=1, le=100)]
    shard_images: Annotated[int, Field(ge=1, le=10**6)]
    seed: Annotated[int, Field(ge=0, le=2**63)]


class Source(_Model):
    """The folder that the shards are made of: number of images, and a hash of their names."""

    images: Count
    names_sha256: Sha256


class Plan(_Model):
    """What is known before the first shard is written."""

    options: Options
    source: Source
    classes: list[FileName] | None  # names of the labels from 0, None of images without


class Shard(_Model):
    """One tar file; ``bytes`` and ``sha256`` are those of the whole file."""

    name: str
    images: Count
    bytes: Count
    sha256: Sha256


class Manifest(Plan):
    """What is known of a finished dataset."""

    images: Count  # of all shards
    skipped: list[FileName]  # images of the source that were left out
    list_sha256: Sha256  # of the file that lists the images
    shards: list[Shard]  # in the order of their numbers

    @model_validator(mode='after')
    def _check_shards(self) -> 'Manifest':
        for number, shard in enumerate(self.shards):
            if shard.name != shard_name(number):  # no other: a name could lead out of the folder
                raise ValueError(f'shards.{number}.name must be {shard_name(number)}')
        if self.images != sum(shard.images for shard in self.shards):
            raise ValueError('images must be the sum of those of the shards')
        return self


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f'shard-{number:05d}.tar'


def write_manifest(folder: Path, content: Plan) -> None:
    """Write a manifest; with a mere :class:`Plan` it is that of an unfinished dataset."""
    complete = isinstance(content, Manifest)
    values = {FORMAT_KEY: FORMAT, 'complete': complete, **content.model_dump()}
    write_atomic(folder / MANIFEST, json.dumps(values, indent=1))


def read_manifest(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Return the manifest of a folder, maybe an unfinished one, None where there is none."""
    try:
        with open_regular(Path(folder, MANIFEST)) as file:
            manifest = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return manifest if isinstance(manifest, dict) and FORMAT_KEY in manifest else None


def finished_manifest(folder: str | os.PathLike) -> Manifest:
    """Return the manifest of a finished dataset, checked.

    Raises:
        UserError: there is none, or it is unfinished or of another format, or says what is never
            written; names the field.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(f'{folder} holds no images in shards: see tools/prepare_dataset.py')
    if manifest[FORMAT_KEY] != FORMAT:
        raise UserError(
            f'{folder} holds shards of format {reprlib.repr(manifest[FORMAT_KEY])}, this version '
            f'reads {FORMAT}: prepare them again'
        )
    if not manifest.get('complete'):
        raise UserError(
            f'{folder} is not prepared to the end: run tools/prepare_dataset.py with the same '
            'options again'
        )
    try:
        return Manifest.model_validate(manifest)
    except ValidationError as error:
        problem = from_validation_error(error)
        raise UserError(f'{Path(folder, MANIFEST)} is damaged: {problem}: {FIX}') from error
