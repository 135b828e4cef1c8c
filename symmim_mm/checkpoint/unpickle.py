"""Unpickling of checkpoints that can build data and nothing else.

``torch.load(weights_only=True)`` calls only functions of an allow-list. MMEngine adds what its own
checkpoints contain, ``getattr`` among them, which defeats the list: ``getattr`` reaches every
function, and ``torch._tensor._rebuild_from_type_v2``, on torch's own list, calls any function that
it is given (``tests/support/hostile_files.py`` builds such files). NumPy's ``dtype`` takes a state
that makes arrays read raw addresses as objects.

None of these is on the list here. Classes of this module replace them by name: they accept only
what MMEngine saves, check their arguments, and give plain arrays, numbers and ``HistoryBuffer``.
"""

import re
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

ARRAY = 'numpy.ndarray'
# Booleans, integers, real and complex numbers, bytes and strings: no type that holds objects.
PLAIN_DTYPE = re.compile(r'[?biufcSU]\d*')


def _require(condition: bool, what: str) -> None:
    """Refuse a file with the message of torch's own unpickler."""
    if not condition:
        raise UnpicklingError(f'Unsupported global: GLOBAL {what}')


class _Dtype:
    """``numpy.dtype('f8', False, True)`` of a plain type; its state may give the byte order."""

    def __init__(self, name: str, *_: bool) -> None:
        _require(isinstance(name, str) and bool(PLAIN_DTYPE.fullmatch(name)), 'numpy.dtype')
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple) -> None:
        # (version, byte order, subarray, names, fields, size, alignment, flags); the last three
        # follow from the type.
        _require(
            isinstance(state, tuple) and len(state) >= 5 and state[2:5] == (None, None, None),
            'numpy.dtype',
        )
        _require(state[1] in ('<', '>', '=', '|'), 'numpy.dtype')
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """``_reconstruct(ndarray, (0,), b'b')``: an array of a plain type, filled by its state."""

    def __init__(self, kind: str = ARRAY, *_: Any) -> None:
        _require(kind is ARRAY, 'numpy._core.multiarray._reconstruct')
        self.array = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        _require(isinstance(state, tuple) and len(state) == 5, 'numpy.ndarray')
        _, shape, dtype, fortran, raw = state
        _require(type(dtype) is _Dtype and isinstance(raw, bytes), 'numpy.ndarray')
        flat = np.frombuffer(raw, dtype.dtype) if raw else np.empty(0, dtype.dtype)
        self.array = flat.reshape(shape, order='F' if fortran else 'C').copy()


def _scalar(dtype: _Dtype, raw: bytes) -> np.generic:
    _require(type(dtype) is _Dtype and isinstance(raw, bytes), 'numpy._core.multiarray.scalar')
    return np.frombuffer(raw, dtype.dtype, count=1)[0]


class _History(HistoryBuffer):
    """Buffer of logged values; becomes MMEngine's class when its state has been checked."""

    def __setstate__(self, state: dict) -> None:
        log, count = state['_log_history'], state['_count_history']
        _require(type(log) is _Array and type(count) is _Array, 'HistoryBuffer')
        HistoryBuffer.__init__(self, log.array, count.array, int(state['max_length']))
        self.__class__ = HistoryBuffer


class _Arguments(Namespace):
    """Command line as MAE and DINO save it."""

    def __setstate__(self, state: dict) -> None:
        _require(
            isinstance(state, dict) and all(isinstance(key, str) for key in state), 'Namespace'
        )
        self.__dict__.update(state)
        self.__class__ = Namespace


def _statistic(owner: type, name: str) -> None:
    """Replace ``getattr(HistoryBuffer, 'mean')``: methods are not taken from a file."""
    _require(owner is _History and isinstance(name, str), 'getattr')


def _no_bytes() -> bytes:
    """Replace ``bytes()``, which stands for the contents of an empty array."""
    return b''


ALLOWED = [
    (_Dtype, 'numpy.dtype'),
    (ARRAY, 'numpy.ndarray'),
    # NumPy 1 and 2 name the module differently.
    *((_Array, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')),
    *((_scalar, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')),
    (_History, 'mmengine.logging.history_buffer.HistoryBuffer'),
    (_no_bytes, 'builtins.bytes'),
    (_statistic, 'builtins.getattr'),
    (_Arguments, 'argparse.Namespace'),
]


@contextmanager
def _allow_only(allowed: list) -> Iterator[None]:
    """Allow torch's own list and ``allowed``, not what the program has added elsewhere."""
    before = get_safe_globals()
    clear_safe_globals()
    try:
        add_safe_globals(allowed)
        yield
    finally:
        clear_safe_globals()
        add_safe_globals(before)


def safe_load(path: str | Path, map_location: Any = 'cpu') -> Any:
    """Load a file of ``torch.save`` that holds nothing but data.

    Data are tensors, plain containers, numbers and strings; NumPy's arrays and numbers of plain
    types; MMEngine's ``HistoryBuffer`` with its own statistics; ``argparse.Namespace``.

    Args:
        path: a zip archive of torch 1.6 or later, or the older format.
        map_location: as for ``torch.load``.

    Raises:
        pickle.UnpicklingError: the file would call or build something else.
        Exception: any error of torch about a damaged file.
    """
    with _allow_only(ALLOWED):
        return _unwrap(torch.load(path, map_location=map_location, weights_only=True), set())


def _unwrap(value: Any, seen: set[int]) -> Any:
    """Replace :class:`_Array` and :class:`_Dtype` by the arrays and dtypes that they hold."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, _Dtype):
        return value.dtype
    if type(value) is tuple:
        return tuple(_unwrap(item, seen) for item in value)
    inside = vars(value) if isinstance(value, Namespace) else value
    if isinstance(inside, dict | list) and id(inside) not in seen:
        seen.add(id(inside))
        for key in range(len(inside)) if isinstance(inside, list) else list(inside):
            inside[key] = _unwrap(inside[key], seen)
    return value
