"""Mixed precision: where it helps, and in which of the two 16-bit formats."""

from collections.abc import Callable, Sequence

import torch
from mmengine.config import Config
from torch import Tensor, nn

from symmim_mm.utils.errors import UserError


def has_bf16_units() -> bool:
    """Return whether mixed precision makes this machine faster: a GPU, or a CPU with AMX."""
    return torch.cuda.is_available() or bool(torch.cpu.get_capabilities().get('amx_bf16'))


def check_bf16_units() -> None:
    """Refuse mixed precision on a processor that it would make slower.

    Raises:
        UserError: neither a GPU nor a processor with bf16 matrix units.
    """
    if not has_bf16_units():
        raise UserError(
            '--amp needs a GPU, or a processor with bf16 matrix units (AMX): leave it out here'
        )


def half_dtype(device: str) -> torch.dtype:
    """Return bfloat16, or float16 for a GPU that has nothing else; ``device`` is its type."""
    half = device == 'cuda' and not torch.cuda.is_bf16_supported()
    return torch.float16 if half else torch.bfloat16


def half_encoder(model: nn.Module) -> Callable[[Tensor], Sequence[Tensor]]:
    """Return what encodes images with a frozen model in mixed precision.

    The weights of linear layers and convolutions are cast here, once and in place. Autocast would
    cast them for every batch, to the same values.
    """
    device = next(model.parameters()).device.type
    dtype = half_dtype(device)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(dtype)

    def encode(images: Tensor) -> Sequence[Tensor]:
        with torch.autocast(device, dtype):
            return model(images)

    return encode


def use_mixed_precision(cfg: Config) -> None:
    """Let a training autocast. bfloat16 has the range of float32: its loss is not scaled.

    Raises:
        UserError: an optimizer wrapper of another kind, or a processor without matrix units.
    """
    wrapper = cfg.optim_wrapper
    if wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(f'--amp does not work with optim_wrapper type {wrapper.type}')
    check_bf16_units()
    if not torch.cuda.is_available():
        wrapper.type = 'symmim_mm.CpuAmpOptimWrapper'
        return
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('dtype', str(half_dtype('cuda')).removeprefix('torch.'))
    if wrapper.dtype == 'bfloat16':
        wrapper.setdefault('loss_scale', dict(enabled=False))
