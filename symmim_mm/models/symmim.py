"""SymMIM: symmetric masks, pixel reconstruction and contrast with a momentum encoder."""

from typing import NamedTuple

import torch
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from symmim_mm.models.base import MaskedImageModel
from symmim_mm.models.contrast_head import ContrastHead
from symmim_mm.models.masks import draw_parity
from symmim_mm.models.momentum import MomentumBranch, momentum_at
from symmim_mm.registry import MODELS
from symmim_mm.utils.errors import UserError

CHECKERBOARD = dict(type='checkerboard', block=1)
LARGE_CHECKERBOARD = dict(type='checkerboard', block=2)


@MODELS.register_module()
class SymMIM(MaskedImageModel):
    """Symmetric masking for masked image modeling (ICPR 2024, arXiv 2408.12772).

    The online encoder sees a checkerboard of single patches and reconstructs what is missing
    (``L_mim``); the momentum encoder sees one of larger squares; their representations of the
    same image are drawn together and apart from those of other images (``L_con``). No code of
    the paper exists: defaults that its text does not settle are borrowed, each from the method
    named below; ``configs/symmim`` has those that runs of ours settled since (docs/symmim.md).

    Args:
        backbone, head, data_preprocessor: as :class:`MaskedImageModel` (dense encoding, one
            linear layer, L1: SimMIM).
        contrast: settings of the :class:`ContrastHead` (MoCo v3).
        mim_weight: of ``L_mim`` in the sum; 0 leaves the pixel head out.
        contrast_weight: of ``L_con`` in the sum; 0 leaves the momentum branch out (CMAE: 1).
        symmetric_loss: also contrast the online encoding of the second view with the momentum
            encoding of the first, and add both losses (MoCo v3); needs a second view.
        online_mask, momentum_mask: mask samplers, see :mod:`symmim_mm.models.mask_samplers`
            (paper: checkerboards of block 1 and 2); ``None``: that encoder sees the whole image,
            which leaves the online encoder nothing to reconstruct.
        momentum: ``dict(start, end, schedule)`` of the EMA, see :func:`momentum_at` (MoCo v3).

    Inputs of the loss are one normalized tensor ``(B, 3, H, W)``, which both encoders see, or a
    list of two: the online and the momentum view of the same images.

    Raises:
        UserError: bad parameters of a mask, weights that are negative or both 0, or no online
            mask with a reconstruction.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        contrast: dict,
        mim_weight: float = 1.0,
        contrast_weight: float = 1.0,
        symmetric_loss: bool = False,
        online_mask: dict | None = CHECKERBOARD,
        momentum_mask: dict | None = LARGE_CHECKERBOARD,
        momentum: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if min(mim_weight, contrast_weight) < 0 or mim_weight == contrast_weight == 0:
            raise UserError(
                'mim_weight and contrast_weight must be at least 0, and not both 0, got '
                f'{mim_weight} and {contrast_weight}'
            )
        if mim_weight > 0 and online_mask is None:
            raise UserError('without online_mask nothing is reconstructed: set mim_weight=0')
        super().__init__(backbone, head if mim_weight > 0 else None, data_preprocessor, init_cfg)
        self.mim_weight = mim_weight
        self.contrast_weight = contrast_weight
        self.symmetric_loss = symmetric_loss
        self.momentum_schedule = dict(start=0.99, end=1.0, schedule='cosine') | (momentum or {})
        momentum_at(0.0, **self.momentum_schedule)  # refuse bad settings now, not at step 1

        self.online_mask = self.momentum_mask = None
        self.online_visible = self.momentum_visible = None
        if online_mask is not None:
            self.online_mask, self.online_visible = self.build_mask('online_mask', online_mask)
        if momentum_mask is not None:
            self.momentum_mask, self.momentum_visible = self.build_mask(
                'momentum_mask', momentum_mask
            )
        if contrast_weight > 0:
            self.contrast_head = ContrastHead(
                self.backbone.embed_dims, directions=1 + symmetric_loss, **contrast
            )
            self.momentum = MomentumBranch(**self.online_modules())
            self.register_load_state_dict_post_hook(_start_momentum_branch)

    def online_modules(self) -> dict[str, torch.nn.Module]:
        """Return the online modules that the momentum branch tracks, keyed by name."""
        return dict(backbone=self.backbone, projector=self.contrast_head.projector)

    def init_weights(self) -> None:
        """Initialize the online branch, then start the momentum branch as its copy."""
        super().init_weights()
        if self.contrast_weight > 0:
            self.momentum.copy_from(**self.online_modules())

    def update_momentum(self, progress: float) -> float:
        """Move the momentum branch once, after an optimizer step, and return ``m``.

        ``progress`` is the share of all optimizer steps that are done, in [0, 1].
        """
        momentum = momentum_at(progress, **self.momentum_schedule)
        if self.contrast_weight > 0:
            self.momentum.update(momentum, **self.online_modules())
        return momentum

    def draw_masks(self, batch: int, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
        """Draw the masks of both encoders, bool ``(B, h, w)``; ``None`` for the whole image."""
        coin = draw_parity(batch, device)  # inverts the checkerboards of both encoders together
        samplers = self.online_mask, self.momentum_mask
        return tuple(s.draw(batch, device, coin) if s is not None else None for s in samplers)

    def draw_reconstruction_mask(self, batch: int, device: torch.device) -> tuple[Tensor, int]:
        return self.draw_masks(batch, device)[0], self.online_visible

    @torch.no_grad()
    def encode_key(self, images: Tensor, mask: Tensor | None) -> Tensor:
        """Momentum branch: images ``(B, 3, H, W)`` and masks -> keys ``(B, D)``."""
        tokens, indices = encode(self.momentum.backbone, images, mask, self.momentum_visible)
        pooled = self.contrast_head.pool(tokens, mask, indices)
        return self.momentum.projector(pooled)

    def loss(
        self, inputs: Tensor | list[Tensor], data_samples: list[DataSample] | None = None
    ) -> dict[str, Tensor]:
        """Compute ``L = mim_weight * L_mim + contrast_weight * L_con``.

        Returns:
            The weighted terms, ``loss_mim`` and ``loss_con``, without one of weight 0; their sum
            is minimized.

        Raises:
            UserError: ``symmetric_loss`` with one view only.
        """
        if self.symmetric_loss and not isinstance(inputs, list):
            raise UserError(
                "symmetric_loss=True needs two views: set data_preprocessor.views='distorted', or "
                'let the loader give two crops'
            )
        online, other = inputs if isinstance(inputs, list) else (inputs, inputs)
        small, large = self.draw_masks(len(online), online.device)
        tokens, indices = encode(self.backbone, online, small, self.online_visible)
        losses = {}
        if self.mim_weight > 0:
            loss_mim = self.head.loss(self.head(tokens, indices), online, small)
            losses['loss_mim'] = self.mim_weight * loss_mim
        if self.contrast_weight > 0:
            query = self.contrast_head(tokens, small, indices)
            loss_con = self.contrast_head.loss(query, self.encode_key(other, large))
            if self.symmetric_loss:
                tokens, indices = encode(self.backbone, other, small, self.online_visible)
                query = self.contrast_head(tokens, small, indices)
                key = self.encode_key(online, large)
                loss_con = loss_con + self.contrast_head.loss(query, key, direction=1)
            losses['loss_con'] = self.contrast_weight * loss_con
        return losses


def encode(
    backbone: nn.Module, images: Tensor, mask: Tensor | None, visible: int | None
) -> tuple[Tensor, Tensor | None]:
    """Return tokens ``(B, 1 + n, C)`` and the indices of the encoded patches, if not all were."""
    if mask is None:
        return backbone(images)[0], None
    return backbone(images, mask, visible)


def _start_momentum_branch(model: SymMIM, incompatible: NamedTuple) -> None:
    """Copy the online branch if a checkpoint held it and no momentum branch."""
    missing = set(incompatible.missing_keys)
    found = {name.partition('.')[0] for name, _ in model.named_parameters() if name not in missing}
    if 'backbone' in found and 'momentum' not in found:
        model.momentum.copy_from(**model.online_modules())
