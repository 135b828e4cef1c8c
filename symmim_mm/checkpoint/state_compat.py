"""Whether a value from a checkpoint can stand in the place of one of this run."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def differences(there: Any, here: Any, place: str, memory: bool = False) -> Iterator[str]:
    """Where a saved value cannot stand in the place of one of this run; values may differ.

    Args:
        there: what was saved.
        here: tensors, numbers and switches, alone or in dicts and sequences.
        place: name of the value, ``''`` for a dict whose names stand alone.
        memory: tensors have to lie in the memory in the same order, too, and single numbers in
            them must be finite and not negative.
    """
    if isinstance(here, dict):
        if not isinstance(there, dict):
            yield f'{place} is {shown(there)} there'
            return
        inside = f'{place}.' if place else ''
        for key, value in here.items():
            if key in there:
                yield from differences(there[key], value, f'{inside}{key}', memory)
            else:
                yield f'{inside}{key} is missing there'
        yield from (f'{inside}{_name(key)} is not in this run' for key in there if key not in here)
    elif isinstance(here, list | tuple):
        if not isinstance(there, list | tuple) or len(there) != len(here):
            yield f'{place} is {shown(there)} there and {shown(here)} here'
            return
        for number, pair in enumerate(zip(there, here, strict=True)):
            yield from differences(*pair, f'{place}[{number}]', memory)
    elif isinstance(here, Tensor):
        yield from _tensor_differences(there, here, place, memory)
    elif not stands_for(there, here):
        yield f'{place} is {shown(there)} there and {shown(here)} here'


def _tensor_differences(there: Any, here: Tensor, place: str, memory: bool) -> Iterator[str]:
    if not isinstance(there, Tensor):
        yield f'{place} is {shown(there)} there and {shown(here)} here'
    elif not is_dense(there):
        yield f'{place} is not a dense tensor there'
    elif there.shape != here.shape:
        yield f'{place} is {shown(there)} there and {shown(here)} here'
    elif there.dtype != here.dtype:
        yield f'{place} is {there.dtype} there and {here.dtype} here'
    elif memory and there.stride() != here.stride():
        if not there.is_contiguous() or not here.is_contiguous():
            yield f'{place} lies in the memory in another order there'
    elif memory and not there.ndim and not 0 <= there.item() < math.inf:
        yield f'{place} is {there.item()} there'


def stands_for(there: Any, here: Any) -> bool:
    """Whether a saved number or switch may be used for one of this run."""
    if here is None:  # left to the library
        return is_switch(there) or is_number(there)
    if is_number(here):
        return is_number(there) and (math.isfinite(there) or not math.isfinite(here))
    return type(there) is type(here)


def is_switch(value: Any) -> bool:
    """Whether a value is a setting that is not a number."""
    return value is None or isinstance(value, bool | str)


def is_number(value: Any) -> bool:
    """Whether a value is a number of 64 bits."""
    return isinstance(value, float) or type(value) is int and value.bit_length() < 64


def is_count(value: Any) -> bool:
    """Whether a value is a whole number from 0."""
    return type(value) is int and 0 <= value < 2**63


def is_dense(value: Tensor) -> bool:
    """Whether a tensor has all of its values, as plain numbers."""
    odd = value.is_quantized or value.is_nested or value.is_meta
    return value.layout == torch.strided and not odd


def shown(value: Any) -> str:
    """A value in a message: shape of a tensor, short text of a number or a switch."""
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if is_number(value) or is_switch(value):
        return repr(value)[:100]
    return f'of type {type(value).__name__}'


def _name(key: Any) -> str:
    return key[:100] if isinstance(key, str) else shown(key)
