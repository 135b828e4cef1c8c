"""Weights and inputs from a formula, so that golden numbers need no weight file.

Every tensor comes from a ``numpy.random.RandomState`` seeded by the CRC-32 of its name in the
original code. NumPy keeps that generator's stream fixed for ever (NEP 19), and a seed per name
makes the order of the names irrelevant. Each golden number of the parity tests was printed by
the original code after :func:`fill` had been applied to its state dict, in float64.
"""

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def draw(name: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers, float64, for any name: ``RandomState(crc32(name))``."""
    generator = np.random.RandomState(zlib.crc32(name.encode()))
    return torch.from_numpy(generator.standard_normal(shape))


def fill(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Float64 weights by original name: 0.1 times :func:`draw`, around 1 for scales of norms."""
    state = {}
    for name, shape in shapes.items():
        is_scale = 'norm' in name and name.endswith('.weight')
        state[name] = 0.1 * draw(name, tuple(shape)) + float(is_scale)
    return state


def relabelled(state: Mapping[str, Tensor], prefix: str, new: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with ``prefix``, which ``new`` replaces."""
    return {
        new + name.removeprefix(prefix): value
        for name, value in state.items()
        if name.startswith(prefix)
    }
