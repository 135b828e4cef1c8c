"""Settings of a recipe, read from its config, in the form in which papers state them."""

import copy
from collections.abc import Callable
from typing import Any

from mmengine.config import Config

from symmim_mm.config.recipe import recipe_of
from symmim_mm.planning.fake_model import build_without_storage
from symmim_mm.planning.groups import parameter_groups

Value = Any  # a number, a string, a tuple of these, or None for "there is none"


def _length(cfg: Config) -> str:
    recipe = recipe_of(cfg)
    return f'{recipe.epochs} epochs' if recipe.by_epoch else f'{recipe.iterations} iterations'


def _warmup(cfg: Config) -> str:
    recipe = recipe_of(cfg)
    if recipe.warmup_iterations:
        return f'{recipe.warmup_iterations} iterations'
    return f'{recipe.warmup_epochs:g} epochs'


def _schedule(cfg: Config) -> str:
    recipe = recipe_of(cfg)
    if recipe.schedule != 'step':
        return recipe.schedule
    unit = 'epoch' if recipe.by_epoch else 'iteration'
    return f'x {recipe.gamma:g} at {unit} ' + ', '.join(map(str, recipe.milestones))


def _optimizer(cfg: Config) -> str:
    return cfg.optim_wrapper.optimizer.type.split('.')[-1]


def _clip(cfg: Config) -> float | None:
    clip = cfg.optim_wrapper.get('clip_grad')
    return clip.max_norm if clip else None


def _undecayed(cfg: Config) -> tuple[str, ...]:
    """Return the parameters of the backbone without weight decay."""
    cfg = copy.deepcopy(cfg)
    model = build_without_storage(cfg)
    cfg.optim_wrapper.optimizer.lr = 1.0
    names = {n for g in parameter_groups(model, cfg) if g.weight_decay == 0 for n in g.names}
    kinds = {
        'class token': 'backbone.cls_token',
        'mask token': 'backbone.mask_token',
        'position embedding': 'backbone.pos_embed',
        'norms': 'backbone.layers.0.ln1.weight',
        'biases': 'backbone.layers.0.attn.qkv.bias',
    }
    if model.backbone.__class__.__name__ == 'MAEViT':
        kinds['mask token'] = 'neck.mask_token'
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    return tuple(sorted(kind for kind, name in kinds.items() if name in names & trained))


def _transform(cfg: Config, kind: str) -> dict:
    pipeline = cfg.train_dataloader.dataset.pipeline
    found = (step for step in pipeline if step['type'].split('.')[-1] == kind)
    return next(found, {})


def _crop(cfg: Config) -> tuple[float, float]:
    # MMPretrain's default is that of torchvision and timm.
    step = _transform(cfg, 'LoadRandomResizedCrop')
    return tuple(step.get('crop_ratio_range', (0.08, 1.0)))


def _interpolation(cfg: Config) -> str:
    step = _transform(cfg, 'LoadRandomResizedCrop')
    return step.get('interpolation', 'bicubic')


def _mask(cfg: Config) -> str:
    model, backbone = cfg.model, cfg.model.backbone
    if 'online_mask' in model:
        masks = model.online_mask, model.momentum_mask
        sides = [backbone.patch_size * mask.block for mask in masks]
        return 'checkerboards of {} (online) and {} pixels (momentum)'.format(*sides)
    if 'mask_ratio' in backbone:
        return f'random, {backbone.mask_ratio:g} in {backbone.patch_size}-pixel squares'
    side = backbone.patch_size * model.mask.unit
    return f'{model.mask.type}, {model.mask.ratio:g} in {side}-pixel squares'


def _decoder(cfg: Config) -> str:
    if 'neck' in cfg.model:
        neck = cfg.model.neck
        sizes = (neck.decoder_depth, neck.decoder_embed_dim, neck.decoder_num_heads)
        return '{} blocks, {} wide, {} heads'.format(*sizes)
    decoder = cfg.model.head.get('decoder')
    return f'{decoder.depth} blocks, {decoder.embed_dims} wide' if decoder else 'one linear layer'


def _reconstruction(cfg: Config) -> str:
    head = cfg.model.head
    name = head.loss if isinstance(head.loss, str) else head.loss.criterion
    return name.upper() + (' on pixels normalized per patch' if head.get('norm_pix') else '')


def _positions(cfg: Config) -> str:
    fixed = not cfg.model.backbone.get('learnable_pos_embed')
    return 'fixed sine-cosine' if fixed else 'learnable'


def _momentum(cfg: Config) -> str:
    ema = cfg.model.momentum
    return f'{ema.start:g} to {ema.end:g}, {ema.schedule}'


def _mlps(cfg: Config) -> str:
    head = cfg.model.contrast
    layers = f'{head.projector_layers} and {head.predictor_layers} layers'
    return f'{layers}, {head.hidden_dims} to {head.out_dims}, {head.norm.upper()}'


def _rand_augment(cfg: Config) -> tuple[float, float]:
    step = _transform(cfg, 'RandAugment')
    return step['magnitude_level'], step['magnitude_std']


def _mixing(cfg: Config, kind: str) -> float:
    steps = cfg.model.train_cfg.augments
    return next(step.alpha for step in steps if step.type.split('.')[-1] == kind)


def _pooling(cfg: Config) -> str:
    frozen = cfg.get('evaluation') or cfg.model.get('neck') or {}
    kind = frozen.get('pooling') or frozen.get('type') or cfg.model.backbone.out_type
    kind = kind if isinstance(kind, str) else kind[0]  # the first is the one that counts
    return {'avg_featmap': 'mean of the patches', 'patch_mean': 'mean of the patches',
            'cls_token': 'class token',
            'symmim_mm.AttentiveFeatures': 'attention over the patches'}[kind]  # fmt: skip


def _windows(cfg: Config) -> str:
    backbone = cfg.model.backbone
    if backbone.global_blocks == 'all':
        return 'none'
    count = backbone.global_blocks
    count = count if isinstance(count, int) else len(count)
    return f'{backbone.window_size} x {backbone.window_size}, {count} global blocks'


def _training_size(cfg: Config) -> str:
    resize = _transform(cfg, 'RandomResize')
    if crop := _transform(cfg, 'RandomCrop'):
        low, high = resize['ratio_range']
        return f'{crop["crop_size"][0]} x {crop["crop_size"][1]}, scaled {low:g} to {high:g}'
    sides = [min(scale) for scale in _transform(cfg, 'RandomChoiceResize')['scales']]
    return f'short side {min(sides)} to {max(sides)}'


def _weight_average(cfg: Config) -> float:
    (hook,) = (hook for hook in cfg.custom_hooks if hook.type == 'EMAHook')
    return 1 - hook.momentum


def _box_loss(cfg: Config) -> str:
    return cfg.model.roi_head.bbox_head.loss_bbox.type.split('.')[-1].removesuffix('Loss')


def _box_norm(cfg: Config) -> str:
    return {'LN2d': 'LN'}[cfg.model.roi_head.bbox_head.norm_cfg.type.split('.')[-1]]


def _box_layers(cfg: Config) -> str:
    kind = cfg.model.roi_head.bbox_head.type.split('.')[-1]
    return {'Shared4Conv1FCBBoxHead': '4 convolutions, 1 linear'}[kind]


FIELDS: dict[str, tuple[str, Callable[[Config], Value]]] = {
    'length': ('length', _length),
    'batch': ('batch', lambda cfg: recipe_of(cfg).batch),
    'peak_lr': ('peak learning rate', lambda cfg: recipe_of(cfg).scaled_lr),
    'schedule': ('schedule', _schedule),
    'last_lr': ('last learning rate', lambda cfg: recipe_of(cfg).min_lr),
    'warmup': ('warm-up', _warmup),
    'warmup_start': ('warm-up from, x peak', lambda cfg: recipe_of(cfg).warmup_start),
    'optimizer': ('optimizer', _optimizer),
    'betas': ('betas', lambda cfg: tuple(cfg.optim_wrapper.optimizer.betas)),
    'sgd_momentum': ('momentum', lambda cfg: cfg.optim_wrapper.optimizer.momentum),
    'weight_decay': ('weight decay', lambda cfg: cfg.optim_wrapper.optimizer.weight_decay),
    'undecayed': ('no weight decay for', _undecayed),
    'clip': ('gradient clipping', _clip),
    'layer_decay': (
        'layer-wise learning rate decay',
        lambda cfg: cfg.optim_wrapper.paramwise_cfg.layer_decay_rate,
    ),
    'drop_path': ('stochastic depth', lambda cfg: cfg.model.backbone.get('drop_path_rate', 0.0)),
    'crop': ('crop, share of the area', _crop),
    'interpolation': ('interpolation', _interpolation),
    'mask': ('mask', _mask),
    'decoder': ('decoder', _decoder),
    'reconstruction': ('reconstruction loss', _reconstruction),
    'positions': ('position embedding', _positions),
    'views': ('momentum view', lambda cfg: cfg.model.data_preprocessor.views),
    'contrast_pooling': ('contrasted', lambda cfg: cfg.model.contrast.pooling.replace('_', ' ')),
    'mlps': ('projector and predictor', _mlps),
    'temperature': ('temperature', lambda cfg: cfg.model.contrast.temperature),
    'symmetric': ('both directions', lambda cfg: cfg.model.symmetric_loss),
    'contrast_weight': ('weight of the contrast', lambda cfg: cfg.model.contrast_weight),
    'ema': ('EMA momentum', _momentum),
    'weight_average': ('EMA of the weights, per step', _weight_average),
    'pooling': ('feature', _pooling),
    'rand_augment': ('RandAugment, level and deviation', _rand_augment),
    'mixup': ('mixup', lambda cfg: _mixing(cfg, 'Mixup')),
    'cutmix': ('cutmix', lambda cfg: _mixing(cfg, 'CutMix')),
    'erasing': ('random erasing', lambda cfg: _transform(cfg, 'RandomErasing')['erase_prob']),
    'smoothing': ('label smoothing', lambda cfg: cfg.model.head.loss.label_smooth_val),
    'head_std': ('deviation of the head at start', lambda cfg: cfg.model.head.init_cfg.std),
    'neighbors': ('neighbors', lambda cfg: tuple(cfg.evaluation.grid.k)),
    'knn_temperature': ('temperature', lambda cfg: cfg.evaluation.temperature),
    'taps': ('taps', lambda cfg: tuple(cfg.model.backbone.out_indices)),
    'head_channels': ('channels of the head', lambda cfg: cfg.model.decode_head.channels),
    'auxiliary': ('auxiliary loss', lambda cfg: cfg.model.auxiliary_head.loss_decode.loss_weight),
    'tap_norm': ('norm on the taps', lambda cfg: cfg.model.backbone.get('final_norm', True)),
    'patch_norm': (
        'norm before the linear layer',
        lambda cfg: 'BN' if cfg.model.neck.type.endswith('FrozenFeatures') else None,
    ),
    'test_stride': ('sliding test, stride', lambda cfg: cfg.model.test_cfg.stride[0]),
    'training_size': ('training images', _training_size),
    'windows': ('windows', _windows),
    'class_token': ('class token', lambda cfg: cfg.model.backbone.get('with_cls_token', True)),
    'relative_positions': ('relative positions', lambda cfg: 'rel_pos_grid' in cfg.model.backbone),
    'pyramid': ('pyramid', lambda cfg: cfg.model.neck.type.split('.')[-1]),
    'rpn_convs': ('convolutions of the RPN', lambda cfg: cfg.model.rpn_head.get('num_convs', 1)),
    'proposals': (
        'proposals in training', lambda cfg: cfg.model.train_cfg.rpn_proposal.max_per_img
    ),
    'box_layers': ('box head', _box_layers),
    'box_norm': ('norm of the heads', _box_norm),
    'box_loss': ('box loss', _box_loss),
}  # fmt: skip
