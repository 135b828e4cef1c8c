"""SymMIM put together from MMPretrain's parts, as one would without this package.

The patches are masked as MMPretrain's SimMIM masks them, the loss is its ``SimMIMHead``'s, the
contrast its MoCo v3's, and ``CosineEMA`` moves the momentum encoder within the loss, one parameter
after the other. Masks and both views come from the loader with the pictures.
"""

import torch
from mmengine.logging import MessageHub
from mmpretrain.models import VisionTransformer
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.models.utils import CosineEMA
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn


class StockMaskedViT(VisionTransformer):
    """MMPretrain's ViT with the mask token of its ``SimMIMSwinTransformer``."""

    def __init__(self, **kwargs) -> None:
        super().__init__(out_type='raw', **kwargs)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Images ``(B, 3, H, W)`` and masks ``(B, h, w)`` -> tokens ``(B, 1 + h * w, C)``."""
        x = self.patch_embed(x)[0]
        token = self.mask_token.expand(*x.shape[:2], -1)
        weight = mask.flatten(1).unsqueeze(-1).type_as(token)
        x = x * (1.0 - weight) + token * weight
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1)
        x = self.drop_after_pos(x + self.pos_embed)
        for layer in self.layers:
            x = layer(x)
        return self.ln1(x)


class StockSymMIM(BaseSelfSupervisor):
    """Both encoders and both losses of ``symmim_mm.SymMIM`` (dense), of MMPretrain's parts.

    Args:
        vit: arguments of the ViT.
        contrast: ``hidden_dims``, ``out_dims``, ``projector_layers``, ``predictor_layers``,
            ``temperature`` as for ``symmim_mm.SymMIM``.
        data_preprocessor: config.
    """

    def __init__(self, vit: dict, contrast: dict, data_preprocessor: dict) -> None:
        encoder = StockMaskedViT(**vit)
        super().__init__(backbone=encoder, data_preprocessor=data_preprocessor)
        patch = encoder.patch_embed.projection.kernel_size[0]
        self.grid = tuple(encoder.patch_resolution)
        self.decoder = MODELS.build(
            dict(type='SimMIMLinearDecoder', in_channels=encoder.embed_dims, encoder_stride=patch)
        )
        loss = dict(type='PixelReconstructionLoss', criterion='L1', channel=3)
        self.pixels = MODELS.build(dict(type='SimMIMHead', patch_size=patch, loss=loss))
        sizes = contrast['projector_layers'], contrast['predictor_layers']
        projector, predictor = (_mlp(width, layers, contrast) for width, layers in zip(
            (encoder.embed_dims, contrast['out_dims']), sizes, strict=True
        ))  # fmt: skip
        self.projector = MODELS.build(projector)
        temperature = contrast['temperature']
        self.contrast = MODELS.build(
            dict(
                type='MoCoV3Head',
                predictor=predictor,
                loss=dict(type='CrossEntropyLoss', loss_weight=2 * temperature),
                temperature=temperature,
            )
        )
        self.momentum_encoder = CosineEMA(
            nn.Sequential(self.backbone, self.projector), momentum=0.01
        )
        MessageHub.get_current_instance().update_info('max_iters', 1_000_000)

    def loss(
        self, inputs: list[Tensor], data_samples: list[DataSample], **kwargs
    ) -> dict[str, Tensor]:
        """Both losses for the two views of a batch."""
        small = torch.stack([sample.mask for sample in data_samples])
        large = torch.stack([sample.momentum_mask for sample in data_samples])
        tokens = self.backbone(inputs[0], small)
        patches = tokens[:, 1:]
        features = patches.transpose(1, 2).reshape(len(patches), -1, *self.grid)
        loss_mim = self.pixels.loss(self.decoder(features), inputs[0], small)
        query = self.projector((patches.mean(dim=1),))[0]
        with torch.no_grad():
            self.momentum_encoder.update_parameters(nn.Sequential(self.backbone, self.projector))
            encoder, projector = self.momentum_encoder.module
            key = projector((encoder(inputs[1], large)[:, 1:].mean(dim=1),))[0]
        return dict(loss_mim=loss_mim, loss_con=self.contrast.loss(query, key))


def _mlp(width: int, layers: int, contrast: dict) -> dict:
    """MoCo v3's projector or predictor, with batch normalisation of one process."""
    return dict(
        type='NonLinearNeck',
        in_channels=width,
        hid_channels=contrast['hidden_dims'],
        out_channels=contrast['out_dims'],
        num_layers=layers,
        with_last_bn_affine=False,
        with_avg_pool=False,
        norm_cfg=dict(type='BN1d'),
    )
