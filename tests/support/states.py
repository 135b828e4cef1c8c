"""Nested states of trainings, compared bit by bit."""

import torch


def differences(one: object, other: object, where: str = '') -> list[str]:
    """Return where two nested states differ in a single bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f'{where}: other keys']
        return [d for key in one for d in differences(one[key], other[key], f'{where}.{key}')]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return [f'{where}: other length']
        pairs = enumerate(zip(one, other, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f'{where}.{i}')]
    if isinstance(one, torch.Tensor):
        same = isinstance(other, torch.Tensor)
        same = same and (one.dtype, one.shape) == (other.dtype, other.shape)
        same = same and one.numpy(force=True).tobytes() == other.numpy(force=True).tobytes()
    else:
        same = one == other
    return [] if same else [where]


def assert_same(one: object, other: object) -> None:
    assert differences(one, other) == []
