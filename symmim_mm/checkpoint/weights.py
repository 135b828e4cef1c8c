"""Weights in files: checks before a model loads them, and writing them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import short

# Files of eight-bit floats store scales next to them, which nothing here reads.
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LARGEST = torch.finfo(torch.float32).max  # what models compute in


def check_plain(values: Mapping, source: str) -> None:
    """Check that a module's ``load_state_dict`` can copy the tensors among ``values``.

    Raises:
        UserError: one of ``source`` is nested, sparse, quantized, complex or without data.
    """
    for name, value in values.items():
        if isinstance(value, Tensor) and (problem := not_plain(value)):
            raise UserError(f'{source}: {short(str(name))} {problem}: save plain, dense tensors')


def check_weights(tensors: Mapping[str, Tensor], source: str) -> None:
    """Check that the tensors of ``source`` are plain, dense, real and finite, and stored in full.

    Reads every number once (0.2 s for the 300 million of ViT-L on one core).

    Raises:
        UserError: one that :func:`check_plain` refuses, is empty, of another type than
            ``FLOATS``, larger than its storage, or has NaN, Inf or numbers beyond float32.
    """
    check_plain(tensors, source)
    for name, value in tensors.items():
        if problem := _no_weight(value):
            raise UserError(
                f'{source}: {short(name)} {problem}: take the checkpoint of a successful training'
            )


def not_plain(value: Tensor) -> str | None:
    """Return why a tensor is not plain and dense, or None. A nested one has no shape."""
    if value.is_nested:
        return 'is a nested tensor'
    if value.layout != torch.strided:
        return f'is a sparse tensor ({value.layout})'
    if value.is_quantized:
        return f'is quantized ({value.dtype})'
    if value.is_complex():
        return f'holds complex numbers ({value.dtype})'
    if value.is_meta:
        return 'has no data (device meta)'
    return None


def _no_weight(value: Tensor) -> str | None:
    """Return why a plain tensor cannot be a weight, or None."""
    if value.dtype not in FLOATS:
        return f'is of {value.dtype}, not of floating point with 16, 32 or 64 bits'
    if not value.numel():
        return f'of shape {tuple(value.shape)} is empty'
    # An expanded tensor may have any size without storage for it, and a copy would take all
    # memory.
    if value.nbytes > value.untyped_storage().nbytes():
        return f'of shape {tuple(value.shape)} is larger than its data in the file'
    # Minimum and maximum propagate NaN. Ten times as fast as torch.isfinite, without a copy.
    least, most = (bound.item() for bound in torch.aminmax(value.detach()))
    if not (least >= -LARGEST and most <= LARGEST):
        return 'holds NaN, Inf or numbers beyond float32'
    return None


def write_tensors(state: dict[str, Tensor], file: Path, metadata: dict[str, str]) -> None:
    """Write tensors as safetensors, with the user's usual permissions."""
    # safetensors' own save_file makes files that only their owner can read.
    # It refuses tensors that share memory, as those of some checkpoints do: each gets its own.
    copies = {
        key: value.clone(memory_format=torch.contiguous_format) for key, value in state.items()
    }
    file.write_bytes(save(copies, metadata))
