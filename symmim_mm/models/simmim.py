"""SimMIM for plain ViTs (MMPretrain has it for Swin only)."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial

import torch
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.structures import DataSample
from torch import Tensor

from symmim_mm import masking
from symmim_mm.errors import UserError
from symmim_mm.models.pixel_head import PixelHead
from symmim_mm.registry import MODELS

RANDOM_MASKS: dict[str, Callable[..., Tensor]] = {
    'random': masking.random_mask,
    'blockwise': masking.blockwise_mask,
}


class MaskedImageModel(BaseSelfSupervisor):
    """Encoder plus pixel head: what SimMIM and SymMIM share.

    Args:
        backbone: config of a :class:`MaskedViT`.
        head: settings of the :class:`PixelHead`; its grid, patch size and widths come from the
            backbone.
        data_preprocessor: config; ``symmim_mm.ViewPreprocessor`` by default.

    The online encoder is ``backbone``, so its weights stand under ``backbone.`` in a checkpoint.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            data_preprocessor=dict(type='symmim_mm.ViewPreprocessor', **(data_preprocessor or {})),
            init_cfg=init_cfg,
        )
        projection = self.backbone.patch_embed.projection
        self.head = PixelHead(
            in_dims=self.backbone.embed_dims,
            grid=self.backbone.grid,
            patch_size=projection.kernel_size[0],
            in_channels=projection.in_channels,
            **head,
        )
        if self.backbone.encoding == 'sparse' and self.head.decoder is None:
            raise UserError('sparse encoding needs a pixel decoder: set head.decoder=dict(...)')

    @abstractmethod
    def draw_reconstruction_mask(self, batch: int, device: torch.device) -> tuple[Tensor, int]:
        """Draw masks bool ``(B, h, w)``; also the number of visible patches all have at least."""

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor]:
        """Unmasked tokens ``((B, 1 + N, C),)`` of images ``(B, 3, H, W)``."""
        return self.backbone(inputs)

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mask normalised images ``(B, 3, H, W)`` as in training and predict them.

        Returns:
            The masks, bool ``(B, h, w)``, and the raw prediction ``(B, h * w, p * p * 3)``.
        """
        mask, visible = self.draw_reconstruction_mask(len(images), images.device)
        tokens, indices = self.backbone(images, mask, visible)
        return mask, self.head(tokens, indices)


@MODELS.register_module()
class SimMIM(MaskedImageModel):
    """SimMIM (arXiv 2111.09886): random masks, one linear layer, L1 on the masked pixels.

    Args:
        mask: ``dict(type='random', ratio=.6, unit=2)`` by default: squares of 2 x 2 patches, 32
            pixels. ``type`` may be ``'blockwise'``, with the parameters of that function in
            ``symmim_mm.masking``.
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
