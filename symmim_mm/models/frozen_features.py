"""The neck of a linear probe: one normalized vector from the tokens of a frozen encoder."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from symmim_mm.models.contrast_head import pool
from symmim_mm.registry import MODELS
from symmim_mm.utils.errors import UserError

POOLINGS = ('patch_mean', 'cls_token')


@MODELS.register_module()
class FrozenFeatures(BaseModule):
    """Pools tokens and normalizes each channel by a BatchNorm without scale (MAE).

    A class token is a feature only where a loss trains it: MAE's decoder does, a linear head on
    patch tokens (SimMIM, dense SymMIM) does not. The mean of the patch tokens is trained by all.

    Args:
        in_channels: of a token.
        pooling: ``'patch_mean'`` or ``'cls_token'``.

    Raises:
        UserError: another pooling.
    """

    def __init__(self, in_channels: int, pooling: str = 'patch_mean') -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise UserError(f"pooling must be one of {POOLINGS}, got '{pooling}'")
        self.pooling = pooling
        # Epsilon of MAE's main_linprobe.py.
        self.norm = nn.BatchNorm1d(in_channels, affine=False, eps=1e-6)

    def forward(self, tokens: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return features ``((B, C),)`` of the last tokens ``(B, 1 + N, C)``, class token first."""
        return (self.norm(pool(tokens[-1], self.pooling, None, None)),)
