"""SimMIM for plain ViTs (MMPretrain has it for Swin only)."""

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

from symmim_mm.models.base import MaskedImageModel
from symmim_mm.registry import MODELS


@MODELS.register_module()
class SimMIM(MaskedImageModel):
    """SimMIM (arXiv 2111.09886): random masks, one linear layer, L1 on the masked pixels.

    Args:
        mask: a mask sampler, see :mod:`symmim_mm.models.mask_samplers`; by default
            ``dict(type='random', ratio=.6, unit=2)``: squares of 2 x 2 patches, 32 pixels.
        **kwargs: as :class:`MaskedImageModel`.
    """

    def __init__(self, mask: dict | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        config = mask or dict(type='random', ratio=0.6, unit=2)
        self.mask, self.visible = self.build_mask('mask', config)

    def draw_reconstruction_mask(self, batch: int, device: torch.device) -> tuple[Tensor, int]:
        return self.mask.draw(batch, device), self.visible

    def loss(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None
    ) -> dict[str, Tensor]:
        """Compute ``dict(loss_mim=...)`` for normalized images ``(B, 3, H, W)``."""
        mask, visible = self.draw_reconstruction_mask(len(inputs), inputs.device)
        tokens, indices = self.backbone(inputs, mask, visible)
        return dict(loss_mim=self.head.loss(self.head(tokens, indices), inputs, mask))
