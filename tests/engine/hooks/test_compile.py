"""What goes through torch.compile, in how many pieces."""

from collections.abc import Callable

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from paths import ROOT
from torch import nn

from symmim_mm.engine.hooks.model_hooks import compile_model
from symmim_mm.models.base import transformer_blocks

DENSE = dict(backbone=dict(encoding='dense', drop_path_rate=0.1), head=dict(decoder=None))


def build(kind: str, change: dict | None = None) -> nn.Module:
    cfg = Config.fromfile(ROOT / f'configs/quickstart/{kind}.py')
    cfg.merge_from_dict(dict(model=change or {}))
    cfg.model.backbone.arch.num_layers = 6
    if kind == 'mask_rcnn':
        cfg.model.backbone.update(out_indices=(5,), global_blocks=1)
    elif kind == 'upernet':
        cfg.model.backbone.update(out_indices=(0, 5))
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    return MODELS.build(cfg.model)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('kind', 'change'),
    [
        ('symmim_pretrain', {}),
        ('symmim_pretrain', DENSE),
        ('symmim_pretrain', dict(momentum_mask=dict(parity='independent', shift=True))),
        ('symmim_pretrain', dict(momentum_mask=None, mim_weight=0.0)),
        (
            'symmim_pretrain',
            dict(
                online_mask=dict(_delete_=True, type='random', ratio=0.5),
                momentum_mask=dict(_delete_=True, type='blockwise', ratio=0.5),
            ),
        ),
        ('mae_pretrain', {}),
        ('simmim_pretrain', {}),
    ],
)
def test_blocks_of_a_pretraining_share_programs(kind: str, change: dict) -> None:
    """``fullgraph`` fails at any graph break; a second batch must not compile anew."""
    torch._dynamo.reset()
    model = build(kind, change).train()
    programs = []

    def compiler(graph: torch.fx.GraphModule, _: list) -> Callable:
        programs.append(graph)
        return graph.forward

    views = [torch.randn(4, 3, 64, 64) for _ in range(2)]
    inputs = views if kind == 'symmim_pretrain' else views[0]
    torch.manual_seed(1)
    expected = model.loss(inputs, [])
    compile_model(model, backend=compiler, fullgraph=True)
    torch.manual_seed(1)
    found = model.loss(inputs, [])
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)
    sum(found.values()).backward()
    # Online, momentum and decoder blocks, each also with stochastic depth.
    assert 0 < len(programs) <= 4 < len(transformer_blocks(model))
    with torch._dynamo.config.patch(error_on_recompile=True):
        model.loss([view + 1 for view in views] if isinstance(inputs, list) else inputs + 1, [])


@pytest.mark.slow
@pytest.mark.parametrize(('kind', 'side'), [('finetune', 64), ('mask_rcnn', 96), ('upernet', 96)])
def test_backbone_of_a_transfer_is_one_graph(kind: str, side: int) -> None:
    torch._dynamo.reset()
    model = build(kind, dict(backbone=dict(drop_path_rate=0.1))).train()
    images = torch.randn(2, 3, side, side)
    torch.manual_seed(1)
    expected = model.backbone(images)
    compile_model(model, backend='eager', fullgraph=True)
    torch.manual_seed(1)
    for found, value in zip(model.backbone(images), expected, strict=True):
        torch.testing.assert_close(found, value)


def test_names_of_parameters_stay() -> None:
    model = build('symmim_pretrain')
    names = list(model.state_dict())
    compile_model(model)
    assert list(model.state_dict()) == names
