"""Layer decay, parameter by parameter, in the models of this repository's configs."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models import VisionTransformer
from paths import CONFIGS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from symmim_mm.utils.errors import UserError

# Full-size transfers: layer decay, weight decay, and whose rule for the latter. The numbers are
# those of the published recipes that the configs name.
FULL = {
    'classification/vit_s_finetune_imagenet': (0.75, 0.05, 'beit'),
    'classification/vit_b_finetune_imagenet': (0.65, 0.05, 'beit'),
    'classification/vit_l_finetune_imagenet': (0.75, 0.05, 'beit'),
    'classification/vit_s_scratch_imagenet': (1.0, 0.3, 'beit'),
    'classification/vit_b_scratch_imagenet': (1.0, 0.3, 'beit'),
    'classification/vit_l_scratch_imagenet': (1.0, 0.3, 'beit'),
    'detection/mask-rcnn_vit_s_1x_coco': (0.75, 0.05, 'beit'),
    'detection/mask-rcnn_vit_b_1x_coco': (0.75, 0.05, 'beit'),
    'detection/mask-rcnn_vit_l_1x_coco': (0.85, 0.05, 'beit'),
    'detection/mask-rcnn_vit_s_100ep_coco': (0.7, 0.1, 'vitdet'),
    'detection/mask-rcnn_vit_b_100ep_coco': (0.7, 0.1, 'vitdet'),
    'detection/mask-rcnn_vit_l_100ep_coco': (0.8, 0.1, 'vitdet'),
    'detection/mask-rcnn_vitdet_s_100ep_coco': (0.7, 0.1, 'detectron2'),
    'detection/mask-rcnn_vitdet_b_100ep_coco': (0.7, 0.1, 'detectron2'),
    'detection/mask-rcnn_vitdet_l_100ep_coco': (0.8, 0.1, 'detectron2'),
    'segmentation/upernet_vit_s_160k_ade20k': (0.9, 0.05, 'beit'),
    'segmentation/upernet_vit_b_160k_ade20k': (0.65, 0.05, 'beit'),
    'segmentation/upernet_vit_l_160k_ade20k': (0.95, 0.05, 'beit'),
}
LR, DECAY = 0.01, 0.1


def read(name: str) -> Config:
    cfg = Config.fromfile(CONFIGS / name)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    cfg.optim_wrapper.optimizer.lr = LR
    return cfg


def expected_scale(name: str, layers: int, rate: float) -> float:
    """``rate^(layers + 1 - depth)`` from the parameter's name alone.

    BEiT's rule, which MAE's ``util/lr_decay.py`` and ViTDet's ``get_vit_lr_decay_rate`` (detectron2
    ``modeling/backbone/vit.py``) share: positions, class token and patches have depth 0, block i
    has i + 1, everything else (final norm, pyramid, heads) the full rate. ViTDet has no class
    token.
    """
    if re.match(r'backbone\.(patch_embed\.|pos_embed$|cls_token$)', name):
        return rate ** (layers + 1)
    if block := re.match(r'backbone\.layers\.(\d+)\.', name):
        return rate ** (layers - int(block[1]))
    return 1.0


def expected_decay(name: str, param: nn.Parameter, norms: set[str], rule: str) -> float:
    """Factor of the weight decay: 0 for positions, class token, norms; BEiT: and all else 1-d.

    ViTDet decays biases (detectron2 ``solver/build.py``, ``weight_decay_norm=0`` alone), and the
    norms of pyramid and heads, which are of a class of its own that this rule does not know.
    """
    if rule == 'detectron2' and not name.startswith('backbone.'):
        return 1.0
    if name in ('backbone.pos_embed', 'backbone.cls_token') or name in norms:
        return 0.0
    return 0.0 if rule == 'beit' and param.ndim == 1 else 1.0


def check_groups(model: nn.Module, cfg: Config, rule: str) -> None:
    layers = model.backbone.num_layers
    rate = cfg.optim_wrapper.paramwise_cfg.layer_decay_rate
    weight_decay = cfg.optim_wrapper.optimizer.weight_decay
    norms = {
        f'{path}.{key}'
        for path, module in model.named_modules()
        if isinstance(module, (_BatchNorm, nn.LayerNorm))
        for key, _ in module.named_parameters(recurse=False)
    }
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups

    found = {}
    for group in groups:
        assert len(group['names']) == len(group['params'])
        for key, param in zip(group['names'], group['params'], strict=True):
            assert key not in found
            found[key] = (id(param), group['lr_scale'], group['weight_decay'])
    expected = {
        key: (
            id(param),
            pytest.approx(expected_scale(key, layers, rate), rel=1e-9),
            pytest.approx(weight_decay * expected_decay(key, param, norms, rule)),
        )
        for key, param in model.named_parameters()
        if param.requires_grad
    }
    assert found == expected
    settings = [(group['lr'], group['weight_decay']) for group in groups]
    assert len(set(settings)) == len(settings)  # equal ones are merged
    assert len(settings) <= 2 * (layers + 2)
    assert all(group['lr'] == LR * group['lr_scale'] for group in groups)


@pytest.mark.parametrize('name', FULL)
def test_every_parameter_of_a_full_size_transfer(name: str) -> None:
    cfg = read(f'{name}.py')
    rate, weight_decay, rule = FULL[name]
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == rate
    assert cfg.optim_wrapper.optimizer.weight_decay == weight_decay
    with torch.device('meta'):  # names, shapes and classes are all that counts
        model = MODELS.build(cfg.model)
    assert all(param.requires_grad for param in model.parameters())
    check_groups(model, cfg, rule)


def test_every_full_size_transfer_is_tested() -> None:
    found = {
        f'{folder}/{path.stem}'
        for folder in ('classification', 'detection', 'segmentation')
        for path in (CONFIGS / folder).glob('*.py')
        if not re.search('(^|_)(linear|knn|attentive)_', path.stem)  # frozen encoders
    }
    assert found == FULL.keys()


class Toy(nn.Module):
    """A backbone with a final norm, and a head."""

    def __init__(self) -> None:
        super().__init__()
        arch = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64)
        self.backbone = VisionTransformer(
            arch=arch, img_size=16, patch_size=8, out_type='avg_featmap', final_norm=True
        )
        self.head = nn.Linear(32, 4)


def wrapper_cfg(**paramwise) -> dict:
    return dict(
        constructor='symmim_mm.LayerDecayOptimWrapperConstructor',
        optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY),
        paramwise_cfg=dict(layer_decay_rate=0.5, **paramwise),
    )


def by_name(optim_wrapper) -> dict[str, dict]:
    groups = optim_wrapper.optimizer.param_groups
    return {name: group for group in groups for name in group['names']}


def test_custom_keys_override_the_tokens_default():
    groups = by_name(
        build_optim_wrapper(Toy(), wrapper_cfg(custom_keys={'.pos_embed': dict(decay_mult=0.5)}))
    )
    assert groups['backbone.pos_embed']['weight_decay'] == pytest.approx(DECAY / 2)
    assert groups['backbone.cls_token']['weight_decay'] == 0
    assert groups['head.bias']['weight_decay'] == DECAY  # no rule for 1-d parameters given


def test_frozen_parameters_have_no_group():
    model = Toy()
    model.backbone.pos_embed.requires_grad = False
    names = by_name(build_optim_wrapper(model, wrapper_cfg())).keys()
    assert names == {name for name, p in model.named_parameters() if p.requires_grad}


def test_a_wrapped_model_gives_the_same_groups(tmp_path):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    try:
        wrapped = MMDistributedDataParallel(Toy())
        found = build_optim_wrapper(wrapped, wrapper_cfg()).optimizer.param_groups
    finally:
        torch.distributed.destroy_process_group()
    expected = build_optim_wrapper(Toy(), wrapper_cfg()).optimizer.param_groups
    settings = ('names', 'lr', 'weight_decay', 'lr_scale')
    assert [[g[k] for k in settings] for g in found] == [[g[k] for k in settings] for g in expected]


def test_a_shared_parameter_is_optimized_once():
    model = Toy()
    model.second = nn.Linear(32, 4)
    model.second.weight = model.head.weight
    names = by_name(build_optim_wrapper(model, wrapper_cfg())).keys()
    assert 'head.weight' in names and 'second.weight' not in names and 'second.bias' in names


@pytest.mark.parametrize('rate', [None, 0, 1.5, 'x'])
def test_a_wrong_rate_is_refused(rate):
    cfg = wrapper_cfg()
    cfg['paramwise_cfg'] = dict(layer_decay_rate=rate)
    with pytest.raises(UserError, match='layer_decay_rate'):
        build_optim_wrapper(Toy(), cfg)


def test_a_backbone_without_depths_is_refused():
    model = nn.Module()
    model.backbone = nn.Linear(2, 2)
    with pytest.raises(UserError, match='get_layer_depth'):
        build_optim_wrapper(model, wrapper_cfg())
