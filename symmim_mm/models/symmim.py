"""SymMIM: symmetric masks, pixel reconstruction and contrast with a momentum encoder."""

import itertools

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

from symmim_mm.models.base import MaskedImageModel
from symmim_mm.models.contrast_head import ContrastHead
from symmim_mm.models.masks import checkerboard, draw_parity, invert, shifted_checkerboards
from symmim_mm.models.momentum import MomentumBranch, momentum_at
from symmim_mm.registry import MODELS
from symmim_mm.utils.errors import UserError

PARITIES = ('shared', 'independent', 'fixed')


@MODELS.register_module()
class SymMIM(MaskedImageModel):
    """Symmetric masking for masked image modelling (ICPR 2024, arXiv 2408.12772).

    The online encoder sees a checkerboard of single patches and reconstructs what is missing
    (``L_mim``); the momentum encoder sees one of larger squares; their representations of the
    same image are drawn together and apart from those of other images (``L_con``). No code of
    the paper exists: defaults that its text does not settle are borrowed, each from the method
    named below.

    Args:
        backbone, head, data_preprocessor: as :class:`MaskedImageModel` (dense encoding, one
            linear layer, L1: SimMIM).
        contrast: settings of the :class:`ContrastHead` (MoCo v3).
        contrast_weight: of ``L_con`` in the sum; 0 leaves the momentum branch out (CMAE: 1).
        symmetric_loss: also contrast the online encoding of the second view with the momentum
            encoding of the first, and add both losses (MoCo v3); needs a second view.
        online_block, momentum_block: side of the masks' squares, in patches (paper: 1 and 2).
        parity: random inversion of the masks per image: ``'shared'`` by both masks, drawn for
            each (``'independent'``), or none (``'fixed'``).
        momentum_offsets: move the momentum mask by a random offset per image, in addition.
        momentum: ``dict(start, end, schedule)`` of the EMA, see :func:`momentum_at` (MoCo v3).

    Inputs of the loss are one tensor, which both encoders see, or a list of two: the online and
    the momentum view.

    Raises:
        UserError: an unknown parity, or a block so large that a mask would be empty.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        contrast: dict,
        contrast_weight: float = 1.0,
        symmetric_loss: bool = False,
        online_block: int = 1,
        momentum_block: int = 2,
        parity: str = 'shared',
        momentum_offsets: bool = False,
        momentum: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, head, data_preprocessor, init_cfg)
        if parity not in PARITIES:
            raise UserError(f"parity must be one of {PARITIES}, got '{parity}'")
        if contrast_weight < 0:
            raise UserError(f'contrast_weight must be at least 0, got {contrast_weight}')
        self.contrast_weight = contrast_weight
        self.symmetric_loss = symmetric_loss
        self.parity = parity
        self.momentum_block = momentum_block
        self.momentum_offsets = momentum_offsets
        self.momentum_schedule = dict(start=0.99, end=1.0, schedule='cosine') | (momentum or {})
        momentum_at(0.0, **self.momentum_schedule)  # refuse bad settings now, not at step 1

        grid = self.backbone.grid
        # On the CPU whatever the default device is: their values are looked at here.
        small, large = (checkerboard(grid, b, device='cpu') for b in (online_block, momentum_block))
        for name, mask in (('online_block', small), ('momentum_block', large)):
            if not mask.any():
                raise UserError(f'{name} masks nothing on a grid of {grid}: make it smaller')
        inverted = parity != 'fixed'
        self.register_buffer('online_mask', small, persistent=False)
        self.register_buffer('momentum_mask', large, persistent=False)
        shifts = itertools.product(range(2 * momentum_block), repeat=2)
        moved = [checkerboard(grid, momentum_block, shift, 'cpu') for shift in shifts]
        moved = moved if momentum_offsets else [large]
        self.online_visible = _visible([self.online_mask], inverted)
        self.momentum_visible = _visible(moved, inverted)

        if contrast_weight > 0:
            self.contrast_head = ContrastHead(self.backbone.embed_dims, **contrast)
            self.momentum = MomentumBranch(**self.followed())

    def followed(self) -> dict[str, torch.nn.Module]:
        """What the parts of the momentum branch follow, by their names there."""
        return dict(backbone=self.backbone, projector=self.contrast_head.projector)

    def init_weights(self) -> None:
        """Initialise the online branch, then start the momentum branch as its copy."""
        super().init_weights()
        if self.contrast_weight > 0:
            self.momentum.copy_from(**self.followed())

    def update_momentum(self, progress: float) -> float:
        """Move the momentum branch once, after an optimizer step.

        Args:
            progress: done share of all optimizer steps, in [0, 1].

        Returns:
            The ``m`` that was used.
        """
        momentum = momentum_at(progress, **self.momentum_schedule)
        if self.contrast_weight > 0:
            self.momentum.update(momentum, **self.followed())
        return momentum

    def draw_masks(self, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Masks of both encoders, bool ``(B, h, w)`` each, drawn on ``device``."""
        if self.momentum_offsets:
            offsets = torch.randint(2 * self.momentum_block, (batch, 2), device=device)
            large = shifted_checkerboards(self.backbone.grid, self.momentum_block, offsets)
        else:
            large = self.momentum_mask.expand(batch, -1, -1)
        if self.parity == 'fixed':
            return self.online_mask.expand(batch, -1, -1), large
        parity = draw_parity(batch, device)
        small = invert(self.online_mask, parity)
        if self.parity == 'independent':
            parity = draw_parity(batch, device)
        return small, large ^ parity[:, None, None]

    def draw_reconstruction_mask(self, batch: int, device: torch.device) -> tuple[Tensor, int]:
        return self.draw_masks(batch, device)[0], self.online_visible

    @torch.no_grad()
    def encode_key(self, images: Tensor, mask: Tensor) -> Tensor:
        """Momentum branch: images ``(B, 3, H, W)`` and masks -> keys ``(B, D)``."""
        tokens, indices = self.momentum.backbone(images, mask, self.momentum_visible)
        pooled = self.contrast_head.pool(tokens, mask, indices)
        return self.momentum.projector(pooled)

    def loss(
        self, inputs: Tensor | list[Tensor], data_samples: list[DataSample] | None = None
    ) -> dict[str, Tensor]:
        """``dict(loss_mim, loss_con)`` for normalised images; their sum is minimised.

        Args:
            inputs: ``(B, 3, H, W)``, or the online and the momentum view of the same images.
        """
        online, other = inputs if isinstance(inputs, list) else (inputs, inputs)
        small, large = self.draw_masks(len(online), online.device)
        tokens, indices = self.backbone(online, small, self.online_visible)
        losses = dict(loss_mim=self.head.loss(self.head(tokens, indices), online, small))
        if self.contrast_weight > 0:
            query = self.contrast_head(tokens, small, indices)
            loss_con = self.contrast_head.loss(query, self.encode_key(other, large))
            if self.symmetric_loss:
                tokens, indices = self.backbone(other, small, self.online_visible)
                query = self.contrast_head(tokens, small, indices)
                loss_con = loss_con + self.contrast_head.loss(query, self.encode_key(online, large))
            losses['loss_con'] = self.contrast_weight * loss_con
        return losses


def _visible(masks: list[Tensor], inverted: bool) -> int:
    """The fewest visible patches of any mask, or of its inverse if that may be drawn too."""
    masked = [int(mask.sum()) for mask in masks]
    total = masks[0].numel()
    return min(min(total - count, count) if inverted else total - count for count in masked)
