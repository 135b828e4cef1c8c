"""Many short texts in two arrays, which processes can share, where a list would be copied."""

import os
from collections.abc import Iterable

import numpy as np


def pack_names(names: Iterable[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """``(text, ends)``: all names in a row as uint8, and int64 where each of them ends."""
    names = list(names)
    lengths = np.fromiter(map(len, names), np.int64, len(names))
    return np.frombuffer(b''.join(names), np.uint8), np.cumsum(lengths)


def are_packed(text: np.ndarray, ends: np.ndarray) -> bool:
    """Whether two vectors, uint8 and int64, can be what :func:`pack_names` makes."""
    bounds = np.concatenate([[0], ends])
    return bounds[-1] == len(text) and bool((bounds[1:] >= bounds[:-1]).all())


def name_at(text: np.ndarray, ends: np.ndarray, index: int) -> str:
    """The name at an index from 0."""
    start = ends[index - 1] if index else 0
    return os.fsdecode(text[start : ends[index]].tobytes())
