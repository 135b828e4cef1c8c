"""Unpickling of checkpoints that can build data and nothing else.

``torch.load(weights_only=True)`` runs nothing but functions on a list. MMEngine adds to that list
what its own checkpoints hold, ``getattr`` among them, and thereby opens it: torch's list holds
``torch._tensor._rebuild_from_type_v2``, which calls any function it is given, and ``getattr``
reaches every function there is (``tests/security/hostile_files.py`` builds such files). NumPy's
``dtype`` takes a state that lets arrays be read as addresses of objects.

So none of those is on the list here. Under their names stand classes of this module that know the
few shapes in which MMEngine saves them, check what they are given, and give plain arrays, numbers
and ``HistoryBuffer`` in the end.
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
# Truth values, whole, real and complex numbers, bytes and texts: no type that holds objects.
PLAIN_DTYPE = re.compile(r'[?biufcSU]\d*')


def _demand(condition: bool, what: str) -> None:
    """Refuse a file, in the words of torch's own unpickler."""
    if not condition:
        raise UnpicklingError(f'Unsupported global: GLOBAL {what}')


class _Dtype:
    """``numpy.dtype('f8', False, True)`` of a plain type; its state may say the byte order."""

    def __init__(self, name: str, *_: bool) -> None:
        _demand(isinstance(name, str) and bool(PLAIN_DTYPE.fullmatch(name)), 'numpy.dtype')
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple) -> None:
        # (version, byte order, subarray, names, fields, size, alignment, flags); the type itself
        # says the last three.
        _demand(
            isinstance(state, tuple) and len(state) >= 5 and state[2:5] == (None, None, None),
            'numpy.dtype',
        )
        _demand(state[1] in ('<', '>', '=', '|'), 'numpy.dtype')
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """``_reconstruct(ndarray, (0,), b'b')``: an array of a plain type, filled by its state."""

    def __init__(self, kind: str = ARRAY, *_: Any) -> None:
        _demand(kind is ARRAY, 'numpy._core.multiarray._reconstruct')
        self.array = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        _demand(isinstance(state, tuple) and len(state) == 5, 'numpy.ndarray')
        _, shape, dtype, fortran, raw = state
        _demand(type(dtype) is _Dtype and isinstance(raw, bytes), 'numpy.ndarray')
        flat = np.frombuffer(raw, dtype.dtype) if raw else np.empty(0, dtype.dtype)
        self.array = flat.reshape(shape, order='F' if fortran else 'C').copy()


def _scalar(dtype: _Dtype, raw: bytes) -> np.generic:
    _demand(type(dtype) is _Dtype and isinstance(raw, bytes), 'numpy._core.multiarray.scalar')
    return np.frombuffer(raw, dtype.dtype, count=1)[0]


class _History(HistoryBuffer):
    """A buffer of logged values. Becomes MMEngine's own class when its state has been checked."""

    def __setstate__(self, state: dict) -> None:
        log, count = state['_log_history'], state['_count_history']
        _demand(type(log) is _Array and type(count) is _Array, 'HistoryBuffer')
        HistoryBuffer.__init__(self, log.array, count.array, int(state['max_length']))
        self.__class__ = HistoryBuffer


class _Arguments(Namespace):
    """The command line that MAE and DINO save."""

    def __setstate__(self, state: dict) -> None:
        _demand(isinstance(state, dict) and all(isinstance(key, str) for key in state), 'Namespace')
        self.__dict__.update(state)
        self.__class__ = Namespace


def _statistic(owner: type, name: str) -> None:
    """Stands for ``getattr(HistoryBuffer, 'mean')``: those methods are not taken from a file."""
    _demand(owner is _History and isinstance(name, str), 'getattr')


def _no_bytes() -> bytes:
    """Stands for ``bytes()``, as which the contents of an empty array are saved."""
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
def _only(allowed: list) -> Iterator[None]:
    """torch's own list and ``allowed``, whatever the program has added to it elsewhere."""
    before = get_safe_globals()
    clear_safe_globals()
    try:
        add_safe_globals(allowed)
        yield
    finally:
        clear_safe_globals()
        add_safe_globals(before)


def safe_load(path: str | Path, map_location: Any = 'cpu') -> Any:
    """What ``torch.save`` wrote into a file, provided that it is data.

    Tensors, plain containers, numbers and texts; NumPy's arrays and numbers of plain types;
    MMEngine's ``HistoryBuffer`` with its own statistics; ``argparse.Namespace``.

    Args:
        path: a zip archive of torch 1.6 or later, or the older plain format.
        map_location: as for ``torch.load``.

    Raises:
        pickle.UnpicklingError: the file would call or build something else.
        Exception: whatever torch makes of a broken file.
    """
    with _only(ALLOWED):
        return _settled(torch.load(path, map_location=map_location, weights_only=True), set())


def _settled(value: Any, seen: set[int]) -> Any:
    """Put arrays and dtypes into the places of their stand-ins."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, _Dtype):
        return value.dtype
    if type(value) is tuple:
        return tuple(_settled(item, seen) for item in value)
    inside = vars(value) if isinstance(value, Namespace) else value
    if isinstance(inside, dict | list) and id(inside) not in seen:
        seen.add(id(inside))
        for key in range(len(inside)) if isinstance(inside, list) else list(inside):
            inside[key] = _settled(inside[key], seen)
    return value
