"""Everything a record says about a training or an evaluation except its metrics."""

import hashlib
import os
import resource
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from mmengine.dataset import BaseDataset
from mmengine.dist import get_world_size
from mmengine.runner import Runner
from pydantic import ValidationError
from torch.nn.modules.batchnorm import _BatchNorm

from symmim_mm.config import RANDOM
from symmim_mm.config.hash import config_sha256
from symmim_mm.config.image_size import image_channels
from symmim_mm.models import SymMIM
from symmim_mm.results.machine import hardware, versions
from symmim_mm.results.record import FILE_NAME, SCHEMA, Batch, Data, Record, Split, parent_of
from symmim_mm.utils.dist import unwrap
from symmim_mm.utils.errors import UserError, from_validation_error
from symmim_mm.utils.files import file_sha256

ARCHITECTURES = {(384, 12): 'ViT-S', (768, 12): 'ViT-B', (1024, 24): 'ViT-L'}


def describe_run(
    run: dict,
    data: Data,
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
    if backbone and run['task'] != 'pretrain':
        method = parent.method if parent else Path(backbone).stem
    try:
        return Record(
            schema=SCHEMA,
            run=work_dir.resolve().name,
            method=method,
            arch=architecture(backbone_cfg),
            channels=image_channels(backbone_cfg),
            task=run['task'],
            dataset=run['dataset'],
            data=data,
            config=str(config_path),
            config_sha256=config_sha256(config_path, overrides),
            overrides=list(overrides),
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


def describe_data(train: BaseDataset, val: BaseDataset | None) -> Data:
    """Return what two datasets of any of the libraries are; no image is opened."""
    return Data(train=_split(train), val=None if val is None else _split(val))


def _split(dataset: BaseDataset) -> Split:
    classes = len((getattr(dataset, 'metainfo', None) or {}).get('classes') or ())
    return Split(images=len(dataset), classes=classes or None, fingerprint=_fingerprint(dataset))


def _fingerprint(dataset: BaseDataset) -> str | None:
    if known := getattr(dataset, 'fingerprint', None):
        return known
    annotations = getattr(dataset, 'ann_file', '')
    if annotations and os.path.isfile(annotations):
        whole = file_sha256(annotations)
        chosen = getattr(dataset, 'chosen', None)  # by LabelShare
        if chosen is None:
            return whole
        return hashlib.sha256(whole.encode() + chosen.tobytes()).hexdigest()
    if not hasattr(dataset, 'get_data_info'):
        return None
    digest = hashlib.sha256()
    root = getattr(dataset, 'data_root', None) or ''
    for index in range(len(dataset)):
        path = dataset.get_data_info(index).get('img_path', '')
        digest.update(os.fsencode(path.removeprefix(root).lstrip('/')) + b'\0')
    return digest.hexdigest()


def describe_batch(runner: Runner) -> Batch:
    """Return how a training splits its steps."""
    model = unwrap(runner.model)
    micro_batch, processes = runner.train_dataloader.batch_size, get_world_size()
    negatives = None
    if isinstance(model, SymMIM) and model.contrast_weight > 0:
        negatives = micro_batch * processes - 1 + runner.cfg.model.contrast.get('memory', 0)
    return Batch(
        micro_batch=micro_batch,
        processes=processes,
        accumulation=runner.cfg.optim_wrapper.get('accumulative_counts', 1),
        negatives=negatives,
        batch_norm=any(isinstance(part, _BatchNorm) for part in model.modules()),
    )


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
