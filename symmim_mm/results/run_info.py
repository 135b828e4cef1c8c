"""Everything a record says about a training or an evaluation except its metrics."""

import resource
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from pydantic import ValidationError

from symmim_mm.config import RANDOM
from symmim_mm.config.hash import config_sha256
from symmim_mm.results.machine import hardware, versions
from symmim_mm.results.record import FILE_NAME, SCHEMA, Record, parent_of
from symmim_mm.utils.errors import UserError, from_validation_error
from symmim_mm.utils.files import file_sha256

ARCHITECTURES = {(384, 12): 'ViT-S', (768, 12): 'ViT-B', (1024, 24): 'ViT-L'}


def describe_run(
    run: dict,
    config_path: str,
    overrides: Sequence[str],
    backbone: str | None,
    work_dir: Path,
    backbone_cfg: dict,
    seed: int,
    started: float,
) -> Record:
    """Return the record of a run that starts: metrics are still empty, and costs zero.

    ``run`` and ``backbone_cfg`` (of the ViT) are parts of the config that the user named
    ``config_path`` and changed by ``overrides``, ``key=value`` strings. ``backbone`` is the
    checkpoint file that the run starts from, ``work_dir`` names the run, and ``started`` is in
    seconds since 1970.

    Raises:
        UserError: the record next to the backbone is broken, or this run's would not be valid.
    """
    parent = parent_of(backbone) if backbone else None
    method = run.get('method', RANDOM)
    if backbone:
        method = parent.method if parent else Path(backbone).stem
    try:
        return Record(
            schema=SCHEMA,
            run=work_dir.resolve().name,
            method=method,
            arch=architecture(backbone_cfg),
            task=run['task'],
            dataset=run['dataset'],
            config=str(config_path),
            config_sha256=config_sha256(config_path, overrides),
            backbone=str(backbone) if backbone else None,
            backbone_sha256=file_sha256(backbone) if backbone else None,
            parent=parent.run if parent else None,
            seed=seed,
            metrics={},
            hardware=hardware(),
            versions=versions(),
            duration_s=0.0,
            started=_iso(started),
            finished=_iso(started),
        )
    except ValidationError as error:
        raise UserError(
            f'this run could not be recorded in {work_dir / FILE_NAME}: '
            f'{from_validation_error(error)}'
        ) from error


def add_costs(record: Record, elapsed: float) -> None:
    """Set the duration of a run (seconds), its end, and the peak memory of this process."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if torch.cuda.is_available():
        memory = torch.cuda.max_memory_allocated() / 2**20
    record.duration_s = round(elapsed, 2)
    record.peak_memory_mib = round(memory, 1)
    record.finished = _iso(time.time())


def architecture(backbone: dict) -> str:
    """Return the short name of a ViT, e.g. ``ViT-B/16``, or ``ViT 128x6/8`` where it has none."""
    from mmpretrain.models import VisionTransformer

    arch = backbone['arch']
    sizes = VisionTransformer.arch_zoo[arch] if isinstance(arch, str) else arch
    width, depth = sizes['embed_dims'], sizes['num_layers']
    name = ARCHITECTURES.get((width, depth), f'ViT {width}x{depth}')
    return f'{name}/{backbone.get("patch_size", 16)}'


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec='seconds')
