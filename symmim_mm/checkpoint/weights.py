"""What the tensors of a file have to be before a model takes them for its weights."""

from collections.abc import Mapping

import torch
from torch import Tensor

from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import short

# Files of eight-bit floats keep scales beside them, which nothing here reads: without them the
# numbers are not the weights.
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LARGEST = torch.finfo(torch.float32).max  # what models compute in


def check_plain(tensors: Mapping[str, Tensor], source: str) -> None:
    """Demand tensors that a module's ``load_state_dict`` copies as they are.

    Args:
        tensors: by name.
        source: the file, as it begins the message.

    Raises:
        UserError: one that is nested, sparse, quantised, complex or without data.
    """
    for name, value in tensors.items():
        if problem := not_plain(value):
            raise UserError(f'{source}: {short(name)} {problem}: save plain, dense tensors')


def check_weights(tensors: Mapping[str, Tensor], source: str) -> None:
    """Demand plain tensors of finite real numbers, each of them in the file.

    Reads every number once (0.2 s for the 300 million of ViT-L on one core).

    Args:
        tensors: by name.
        source: the file, as it begins the message.

    Raises:
        UserError: one that :func:`check_plain` refuses, is empty, of another type than
            ``FLOATS``, larger than the data it shows, or holds NaN, Inf or what float32 cannot.
    """
    check_plain(tensors, source)
    for name, value in tensors.items():
        if problem := _no_weight(value):
            raise UserError(
                f'{source}: {short(name)} {problem}: take the checkpoint of a sound training'
            )


def not_plain(value: Tensor) -> str | None:
    """Why a tensor cannot be copied into another one; a nested one has no shape to ask for."""
    if value.is_nested:
        return 'is a nested tensor'
    if value.layout != torch.strided:
        return f'is a sparse tensor ({value.layout})'
    if value.is_quantized:
        return f'is quantised ({value.dtype})'
    if value.is_complex():
        return f'holds complex numbers ({value.dtype})'
    if value.is_meta:
        return 'has no data (device meta)'
    return None


def _no_weight(value: Tensor) -> str | None:
    """Why a plain tensor is not one of weights."""
    if value.dtype not in FLOATS:
        return f'is of {value.dtype}, not of floating point with 16, 32 or 64 bits'
    if not value.numel():
        return f'of shape {tuple(value.shape)} is empty'
    # An expanded tensor may pretend to any size: nobody stores weights so, and a copy of it
    # would take all memory.
    if value.nbytes > value.untyped_storage().nbytes():
        return f'of shape {tuple(value.shape)} is larger than its data in the file'
    # NaN goes through minimum and maximum. Ten times as fast as torch.isfinite, without a copy.
    least, most = (bound.item() for bound in torch.aminmax(value.detach()))
    if not (least >= -LARGEST and most <= LARGEST):
        return 'holds NaN, Inf or numbers beyond float32'
    return None
