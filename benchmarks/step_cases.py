"""Trainings whose steps are compared: of our configs, and of MMPretrain's parts.

SymMIM of stock parts masks patches as MMPretrain's SimMIM does, has the loss of its ``SimMIMHead``
and the contrast of its MoCo v3, and ``CosineEMA`` updates the momentum encoder within the loss,
one parameter after the other. Masks and both views come with the images, as from a loader.
"""

import copy
from pathlib import Path

import mmpretrain
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models import VisionTransformer
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.models.utils import CosineEMA
from mmpretrain.structures import DataSample
from torch import Tensor, nn

import symmim_mm
from benchmarks.step_tables import STOCK, VARIANTS
from benchmarks.step_trainer import Trainer
from symmim_mm.config.recipe import apply_recipe
from symmim_mm.engine.launch import substitute_types
from symmim_mm.engine.optim.guarded_wrapper import GuardedStep
from symmim_mm.engine.precision import use_mixed_precision
from symmim_mm.models.masks import checkerboard, draw_parity

CONFIGS = Path(symmim_mm.__file__).parents[1] / 'configs'
STOCK_CONFIGS = Path(mmpretrain.__file__).parent / '.mim/configs'
STOCK_RECIPES = {
    'mae-stock': 'mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py',
    'symmim-stock': 'simmim/simmim_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px.py',
}
RATE = 1e-6  # learning rate, small enough for a training on noise; no time depends on it


def config_of(size: str, method: str) -> Config:
    """Return the config of a case for one process; of a stock case, that of its counterpart.

    Args:
        size: one of ``SIZES``.
        method: one of ``METHODS``.
    """
    method = STOCK.get(method, VARIANTS.get(method, method))
    kind = method.removesuffix('-dense')
    folder = CONFIGS / 'quickstart' if size == 'quickstart' else CONFIGS / kind
    name = f'{kind}_pretrain.py' if size == 'quickstart' else f'vit_{size}_pretrain.py'
    cfg = Config.fromfile(folder / name)
    if method.endswith('-dense'):  # as the config of ViT-B says it
        literal = Config.fromfile(CONFIGS / 'symmim/vit_b_literal_pretrain.py')
        cfg.run.method = literal.run.method
        cfg.model.backbone.encoding = literal.model.backbone.encoding
        cfg.model.head = literal.model.head
        cfg.model.contrast_weight = literal.model.contrast_weight
    apply_recipe(cfg, 1)
    if 'contrast' in cfg.model:
        cfg.model.contrast.memory = 0  # a measured step is one micro-batch
    return cfg


def identity(cfg: Config) -> dict:
    """Return the settings of the model that a step's time depends on, as plain values."""
    backbone = cfg.model.backbone
    decoder = (cfg.model.get('head') or {}).get('decoder')
    return copy.deepcopy(
        dict(
            method=cfg.run.method,
            arch=_plain(backbone.arch),
            img_size=backbone.img_size,
            patch_size=backbone.patch_size,
            encoding=backbone.get('encoding', 'dense' if cfg.run.method == 'simmim' else None),
            decoder=_plain(decoder),
        )
    )


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, dict) else value


def make_trainer(size: str, method: str, device: torch.device, amp: bool = False) -> Trainer:
    """Build a case, ready to train.

    Args:
        size: one of ``SIZES``.
        method: one of ``METHODS``; checkpointed and compiled ones are built as those without.
        device: where it trains.
        amp: in bfloat16; on a CPU stock cases stay in float32, as MMEngine knows nothing else.
    """
    cfg = config_of(size, method)
    if method not in STOCK:
        return trainer_of(cfg, device, amp)
    stock = Config.fromfile(STOCK_CONFIGS / STOCK_RECIPES[method])
    normalize = dict(Config.fromfile(STOCK_CONFIGS / STOCK_RECIPES['mae-stock']).data_preprocessor)
    _quiet()
    if method == 'mae-stock':
        # MMPretrain's classes are the ones that our config names, too.
        settings = copy.deepcopy(cfg.model)
        settings.data_preprocessor = normalize
        model = MODELS.build(settings)
    else:
        vit = {key: cfg.model.backbone[key] for key in ('arch', 'img_size', 'patch_size')}
        model = StockSymMIM(vit, cfg.model.contrast, normalize)
    model.to(device).init_weights()  # in this order, as MMEngine's Runner does it
    model.train()
    settings = stock.optim_wrapper
    # Learning rate, decay and clipping of ours; wrapper, groups and loss scaling of MMPretrain.
    theirs = cfg.optim_wrapper
    settings.optimizer = dict(theirs.optimizer, lr=RATE)
    settings.optimizer.pop('fused')
    settings.clip_grad = theirs.get('clip_grad')
    if amp and device.type != 'cpu':
        settings.dtype = 'bfloat16'
    else:
        settings.type = 'OptimWrapper'
        settings.pop('loss_scale', None)
    wrapper = build_optim_wrapper(model, settings)
    side = cfg.model.backbone.img_size
    if method == 'mae-stock':
        return Trainer(model, wrapper, lambda n: batch_of(n, side, device))
    ema = model.momentum_encoder, 'update_parameters'
    return Trainer(model, wrapper, lambda n: _two_views(n, side, device, model.grid), ema, True)


def trainer_of(cfg: Config, device: torch.device, amp: bool = False) -> Trainer:
    """Build the training of one of our configs, as ``tools/train.py`` does for one process."""
    _quiet(cfg.get('default_scope') or 'mmpretrain')
    model = MODELS.build(copy.deepcopy(cfg.model))
    model.to(device).init_weights()  # in this order, as MMEngine's Runner does it
    model.train()
    settings = copy.deepcopy(cfg)
    settings.optim_wrapper.optimizer.lr = RATE
    settings.optim_wrapper.pop('accumulative_counts', None)
    if amp:
        use_mixed_precision(settings)
    substitute_types(settings)
    wrapper = build_optim_wrapper(model, settings.optim_wrapper)
    if isinstance(wrapper, GuardedStep):
        wrapper.watch(model)
    moved = getattr(model, 'contrast_weight', 0) > 0
    side = cfg.model.backbone.img_size
    ema = (model, 'update_momentum') if moved else None
    return Trainer(model, wrapper, lambda n: batch_of(n, side, device), ema)


def batch_of(images: int, side: int, device: torch.device) -> dict:
    """Return noise as a loader gives it: ``uint8 (B, 3, side, side)``, already on the device."""
    generator = torch.Generator().manual_seed(0)
    shape = images, 3, side, side
    noise = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return dict(inputs=noise.to(device), data_samples=[DataSample() for _ in range(images)])


def _two_views(images: int, side: int, device: torch.device, grid: tuple[int, int]) -> dict:
    """Return the same with a second view and the masks of each image."""
    batch = batch_of(images, side, device)
    parity = draw_parity(images)[:, None, None]
    small, large = (checkerboard(grid, block) ^ parity for block in (1, 2))
    for sample, *masks in zip(batch['data_samples'], small, large, strict=True):
        sample.set_field(masks[0], 'mask')
        sample.set_field(masks[1], 'momentum_mask')
    return dict(batch, inputs=[batch['inputs'], batch['inputs'].clone()])


def _quiet(scope: str = 'mmpretrain') -> None:
    init_default_scope(scope)
    if not MMLogger.check_instance_created('benchmark'):
        MMLogger.get_instance(
            'benchmark', log_level='ERROR'
        )  # hides the lines on initialized weights


class StockMaskedViT(VisionTransformer):
    """MMPretrain's ViT with the mask token of its ``SimMIMSwinTransformer``."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(out_type='raw', **kwargs)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encode images ``(B, 3, H, W)``, masks ``(B, h, w)`` to tokens ``(B, 1 + h * w, C)``."""
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
    """Encoders and losses of ``symmim_mm.SymMIM`` (dense), built from MMPretrain's parts.

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
        self, inputs: list[Tensor], data_samples: list[DataSample], **kwargs: object
    ) -> dict[str, Tensor]:
        """Compute both losses for the two views of a batch."""
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
    """Return the config of MoCo v3's projector or predictor, with BatchNorm of one process."""
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
