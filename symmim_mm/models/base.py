"""What the masked image models share: an encoder that takes a mask, and a pixel head."""

import math
from abc import abstractmethod

import torch
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import Tensor, nn

from symmim_mm.models.mask_samplers import MaskSampler, build_mask_sampler
from symmim_mm.models.pixel_head import PixelHead
from symmim_mm.utils.errors import UserError


class MaskedImageModel(BaseSelfSupervisor):
    """Encoder plus pixel head: what SimMIM and SymMIM share.

    The online encoder is ``backbone``, so its weights stand under ``backbone.`` in a checkpoint.

    Args:
        backbone: config of a :class:`MaskedViT`.
        head: settings of the :class:`PixelHead`; its grid, patch size and widths come from the
            backbone. ``None``: nothing is reconstructed.
        data_preprocessor: settings of the :class:`ViewPreprocessor`.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict | None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            data_preprocessor=dict(type='symmim_mm.ViewPreprocessor', **(data_preprocessor or {})),
            init_cfg=init_cfg,
        )
        if head is None:
            return
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

    def build_mask(self, name: str, config: dict) -> tuple[MaskSampler, int]:
        """Build a mask sampler for the backbone's grid.

        Returns:
            The sampler and the number of patches that every mask of it leaves visible.
        """
        sampler = build_mask_sampler(name, config, self.backbone.grid)
        return sampler, math.prod(self.backbone.grid) - sampler.masked_counts[-1]

    @abstractmethod
    def draw_reconstruction_mask(self, batch: int, device: torch.device) -> tuple[Tensor, int]:
        """Draw masks bool ``(B, h, w)``; also the number of visible patches all have at least."""

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor]:
        """Unmasked tokens ``((B, 1 + N, C),)`` of images ``(B, 3, H, W)``."""
        return self.backbone(inputs)

    @torch.no_grad()
    def reconstruct(self, images: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mask normalized images ``(B, 3, H, W)`` and predict them.

        Args:
            images: normalized.
            mask: bool ``(B, h, w)``; as in training by default.

        Returns:
            The masks, bool ``(B, h, w)``, and the raw prediction ``(B, h * w, p * p * 3)``.

        Raises:
            UserError: the model has no pixel head.
        """
        if not self.with_head:
            raise UserError('this model reconstructs nothing: it was trained with mim_weight=0')
        if mask is None:
            mask, visible = self.draw_reconstruction_mask(len(images), images.device)
        else:
            visible = int((~mask).flatten(1).sum(dim=1).min())
        tokens, indices = self.backbone(images, mask, visible)
        return mask, self.head(tokens, indices)


def transformer_blocks(model: nn.Module) -> list[TransformerEncoderLayer]:
    """Return the transformer blocks of a model, which are of MMPretrain's class for them."""
    return [module for module in model.modules() if isinstance(module, TransformerEncoderLayer)]


def fsdp_units(model: nn.Module) -> list[nn.Module]:
    """Return the modules whose parameters are gathered, used and let go together.

    Every transformer block is one. A momentum branch moves by a sum over parameters that do not
    leave their process: each part of it and the part that it follows are units of their own, so
    that both are cut at the same places. What is left over is gathered for the whole step.
    """
    found: list[nn.Module] = list(transformer_blocks(model))
    if hasattr(model, 'momentum'):
        found += [*model.online_modules().values(), *model.momentum.children()]
    return found
