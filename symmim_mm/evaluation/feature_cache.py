"""Features kept on disk, so that k-NN and a linear classifier encode the same images once."""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import Dataset

from symmim_mm.results.machine import versions
from symmim_mm.results.run_info import describe_data
from symmim_mm.utils.files import replacing
from symmim_mm.utils.locks import file_lock

MOST_BYTES = 1 << 35  # of a folder; the features least recently used make room
Features = tuple[dict[str, Tensor], Tensor]
"""Features float32 ``(N, C)`` by pooling, and labels int64 ``(N,)``."""


def features_key(
    model: nn.Module, dataset: Dataset, cfg: Config, split: str, amp: bool = False
) -> str | None:
    """Return a hash of everything that the features of a dataset depend on.

    That is the weights and what the ViT is built of; the images by path, size and time of change,
    those of shards by their hashes; labels, loading and preprocessing; the kind of device, ``amp``,
    and the versions of the packages. ``None`` where an image is no local file.
    """
    digest = hashlib.sha256()
    _update(digest, model.state_dict())
    kind = next(model.parameters()).device.type
    # The number of classes, which the preprocessor of a linear classifier has, changes no feature.
    preprocessor = {k: v for k, v in cfg.data_preprocessor.items() if k != 'num_classes'}
    settings = cfg.model.backbone, preprocessor, cfg[f'{split}_dataloader'].dataset
    digest.update(repr((settings, kind, amp, versions())).encode())
    digest.update(describe_data(dataset, None).model_dump_json().encode())
    manifest = getattr(getattr(dataset, 'index', None), 'manifest', None)
    digest.update(repr(manifest).encode())
    for index in range(len(dataset)):
        image = dataset.get_data_info(index)
        digest.update(f'{image["gt_label"]} '.encode())
        if manifest is None:
            try:
                status = os.stat(image.get('img_path', ''))
            except OSError:
                return None
            digest.update(f'{status.st_size} {status.st_mtime_ns} '.encode())
    return digest.hexdigest()


def cached(
    folder: Path, key: str | None, poolings: Sequence[str], encode: Callable[[], Features]
) -> tuple[Features, float]:
    """Return features from a folder, or encode and keep them there.

    A file that is damaged is encoded anew, and said so. A process that needs what another one is
    encoding waits for it. What cannot be kept is no error.

    Args:
        folder: of the features.
        key: of :func:`features_key`; ``None``: nothing is kept.
        poolings: wanted; features of other poolings do not count.
        encode: gives the features if they are not there.

    Returns:
        The features, and the seconds that encoding them took when it was done.
    """
    if key is None:
        return _timed(encode)
    path = folder / f'{key}-{"-".join(poolings)}.safetensors'
    with file_lock(path.with_suffix('.lock')):
        try:
            if path.is_file():
                found = _read(path, poolings)
                print(f'features of an earlier evaluation: {path}', flush=True)
                os.utime(path)
                return found
        except (OSError, ValueError, SafetensorError) as error:
            print(f'{path}: damaged ({error!s:.200}): encoding again', flush=True)
        found = _timed(encode)
        try:
            _write(path, *found)
        except (OSError, SafetensorError) as error:  # the latter also where the disk is full
            print(f'{path}: features not kept: {error}', flush=True)
        return found


def _timed(encode: Callable[[], Features]) -> tuple[Features, float]:
    start = time.monotonic()
    return encode(), time.monotonic() - start


def _read(path: Path, poolings: Sequence[str]) -> tuple[Features, float]:
    with safe_open(path, 'pt') as file:
        notes = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in (*poolings, 'labels')}
    if _sha256(tensors) != notes.get('sha256'):
        raise ValueError('its content has another hash')
    labels = tensors.pop('labels')
    return (tensors, labels), float(notes['seconds'])


def _write(path: Path, features: Features, seconds: float) -> None:
    tensors = {**features[0], 'labels': features[1]}
    size = sum(tensor.nbytes for tensor in tensors.values())
    files = sorted(path.parent.glob('*.safetensors'), key=lambda file: file.stat().st_mtime)
    free = MOST_BYTES - sum(file.stat().st_size for file in files)
    while files and free < size:
        free += files[0].stat().st_size
        files.pop(0).unlink(missing_ok=True)
    if free < size:
        return
    notes = {'sha256': _sha256(tensors), 'seconds': str(seconds)}
    with replacing(path) as file:
        save_file(tensors, file.name, notes)


def _sha256(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    _update(digest, tensors)
    return digest.hexdigest()


def _update(digest: 'hashlib._Hash', tensors: dict[str, Tensor]) -> None:
    for name, tensor in sorted(tensors.items()):
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)} '.encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
