"""SimMIM for plain ViTs (MMPretrain has it for Swin only)."""

from collections.abc import Callable
from functools import partial

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

from symmim_mm.models import masks as masking
from symmim_mm.models.base import MaskedImageModel
from symmim_mm.registry import MODELS
from symmim_mm.utils.errors import UserError

RANDOM_MASKS: dict[str, Callable[..., Tensor]] = {
    'random': masking.random_mask,
    'blockwise': masking.blockwise_mask,
}


@MODELS.register_module()
class SimMIM(MaskedImageModel):
    """SimMIM (arXiv 2111.09886): random masks, one linear layer, L1 on the masked pixels.

    Args:
        mask: ``dict(type='random', ratio=.6, unit=2)`` by default: squares of 2 x 2 patches, 32
            pixels. ``type`` may be ``'blockwise'``, with the parameters of that function in
            ``symmim_mm.models.masks``.
        **kwargs: as :class:`MaskedImageModel`.

    Raises:
        UserError: an unknown kind of mask or bad parameters for it.
    """

    def __init__(self, mask: dict | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        parameters = dict(mask or dict(type='random', ratio=0.6, unit=2))
        kind = parameters.pop('type')
        if kind not in RANDOM_MASKS:
            raise UserError(f"mask type must be one of {tuple(RANDOM_MASKS)}, got '{kind}'")
        grid = self.backbone.grid
        self._draw = partial(RANDOM_MASKS[kind], grid=grid, **parameters)
        try:
            fixed = torch.Generator('cpu').manual_seed(0)
            probe = self._draw(batch=1, device='cpu', generator=fixed)
        except (TypeError, ValueError) as error:
            raise UserError(f"mask '{kind}' with {parameters}: {error}") from error
        # Squares cut by the border make the count vary between images: dense encoding only.
        unit = parameters.get('unit', 1)
        if self.backbone.encoding == 'sparse' and any(side % unit for side in grid):
            raise UserError(f'sparse encoding needs a grid that {unit} divides, not {grid}')
        self._visible = int((~probe).sum())

    def draw_reconstruction_mask(self, batch: int, device: torch.device) -> tuple[Tensor, int]:
        return self._draw(batch=batch, device=device), self._visible

    def loss(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None
    ) -> dict[str, Tensor]:
        """``dict(loss_mim=...)`` for normalised images ``(B, 3, H, W)``."""
        mask, visible = self.draw_reconstruction_mask(len(inputs), inputs.device)
        tokens, indices = self.backbone(inputs, mask, visible)
        return dict(loss_mim=self.head.loss(self.head(tokens, indices), inputs, mask))
