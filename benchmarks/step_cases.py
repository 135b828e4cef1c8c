"""The trainings whose steps are compared, built from the configs that train."""

import copy
from pathlib import Path

import mmpretrain
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

import symmim_mm
from benchmarks.step_methods import CHECKPOINTED, STOCK
from benchmarks.step_stock import StockSymMIM
from benchmarks.step_trainer import Trainer
from symmim_mm.config.recipe import apply_recipe
from symmim_mm.engine.hooks.model_hooks import compile_model
from symmim_mm.engine.launch import substitute_types
from symmim_mm.engine.optim.guarded_wrapper import GuardedStep
from symmim_mm.models.masks import checkerboard, draw_parity, invert

CONFIGS = Path(symmim_mm.__file__).parents[1] / 'configs'
STOCK_CONFIGS = Path(mmpretrain.__file__).parent / '.mim/configs'
STOCK_RECIPES = {
    'mae-stock': 'mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py',
    'symmim-stock': 'simmim/simmim_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px.py',
}
RATE = 1e-6  # of learning: small, so that noise is learnt without harm; no time depends on it


def config_of(size: str, method: str) -> Config:
    """The config of a case, its recipe applied to one process; of a stock case, that of its peer.

    Args:
        size, method: of ``SIZES`` and ``METHODS``.
    """
    method = STOCK.get(method, CHECKPOINTED.get(method, method))
    kind = method.removesuffix('-sparse')
    folder = CONFIGS / 'quickstart' if size == 'quickstart' else CONFIGS / kind
    name = f'{kind}_pretrain.py' if size == 'quickstart' else f'vit_{size}_pretrain.py'
    cfg = Config.fromfile(folder / name)
    if method.endswith('-sparse'):  # as the config of ViT-B says it
        sparse = Config.fromfile(CONFIGS / 'symmim/vit_b_sparse_pretrain.py').model
        cfg.model.backbone.encoding = sparse.backbone.encoding
        cfg.model.head.decoder = sparse.head.decoder
    apply_recipe(cfg, 1)
    return cfg


def identity(cfg: Config) -> dict:
    """What a measured step depends on beside the batch: of the model, as plain values."""
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


def _plain(value):
    return dict(value) if isinstance(value, dict) else value


def make_trainer(
    size: str, method: str, device: torch.device, amp: bool = False, compiled: bool = False
) -> Trainer:
    """A case, ready to train.

    Args:
        size, method: of ``SIZES`` and ``METHODS``; checkpointed ones are made of their peer.
        device: where it trains.
        amp: in bfloat16, which needs a GPU.
        compiled: as ``--compile`` of ``tools/train.py``; stock cases stay as they are.
    """
    cfg = config_of(size, method)
    if method not in STOCK:
        return trainer_of(cfg, device, amp, compiled)
    stock = Config.fromfile(STOCK_CONFIGS / STOCK_RECIPES[method])
    normalise = dict(Config.fromfile(STOCK_CONFIGS / STOCK_RECIPES['mae-stock']).data_preprocessor)
    _quiet()
    if method == 'mae-stock':
        # MMPretrain's classes are the ones that our config names, too.
        settings = copy.deepcopy(cfg.model)
        settings.data_preprocessor = normalise
        model = MODELS.build(settings)
    else:
        vit = {key: cfg.model.backbone[key] for key in ('arch', 'img_size', 'patch_size')}
        model = StockSymMIM(vit, cfg.model.contrast, normalise)
    model.to(device).init_weights()  # in this order, as MMEngine's Runner does it
    model.train()
    settings = stock.optim_wrapper
    # Rates, decay and clipping of the peer; wrapper, groups and loss scaling of MMPretrain.
    theirs = cfg.optim_wrapper
    settings.optimizer = dict(theirs.optimizer, lr=RATE)
    settings.optimizer.pop('fused')
    settings.clip_grad = theirs.get('clip_grad')
    if amp:
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


def trainer_of(
    cfg: Config, device: torch.device, amp: bool = False, compiled: bool = False
) -> Trainer:
    """The training of one of our configs, as ``tools/train.py`` sets it up for one process."""
    _quiet()
    model = MODELS.build(copy.deepcopy(cfg.model))
    model.to(device).init_weights()  # in this order, as MMEngine's Runner does it
    model.train()
    settings = copy.deepcopy(cfg)
    settings.optim_wrapper.optimizer.lr = RATE
    settings.optim_wrapper.pop('accumulative_counts', None)
    if amp:
        settings.optim_wrapper.update(type='AmpOptimWrapper', dtype='bfloat16')
    substitute_types(settings)
    wrapper = build_optim_wrapper(model, settings.optim_wrapper)
    if isinstance(wrapper, GuardedStep):
        wrapper.watch(model)
    if compiled:
        compile_model(model)
    moved = getattr(model, 'contrast_weight', 0) > 0
    side = cfg.model.backbone.img_size
    ema = (model, 'update_momentum') if moved else None
    return Trainer(model, wrapper, lambda n: batch_of(n, side, device), ema)


def batch_of(pictures: int, side: int, device: torch.device) -> dict:
    """Noise as a loader gives it: ``uint8 (B, 3, side, side)``, already on the device."""
    generator = torch.Generator().manual_seed(0)
    shape = pictures, 3, side, side
    noise = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return dict(inputs=noise.to(device), data_samples=[DataSample() for _ in range(pictures)])


def _two_views(pictures: int, side: int, device: torch.device, grid: tuple[int, int]) -> dict:
    """The same with a second view and, for each picture, the masks that a loader would make."""
    batch = batch_of(pictures, side, device)
    parity = draw_parity(pictures)
    small, large = (invert(checkerboard(grid, block), parity) for block in (1, 2))
    for sample, *masks in zip(batch['data_samples'], small, large, strict=True):
        sample.set_field(masks[0], 'mask')
        sample.set_field(masks[1], 'momentum_mask')
    return dict(batch, inputs=[batch['inputs'], batch['inputs'].clone()])


def _quiet() -> None:
    init_default_scope('mmpretrain')
    if not MMLogger.check_instance_created('benchmark'):
        MMLogger.get_instance('benchmark', log_level='ERROR')  # not of every weight's start
