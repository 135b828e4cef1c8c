"""SymMIM and SimMIM: losses, gradients, EMA and the options of the method."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import load_state_dict
from tiny_models import tiny_config

from symmim_mm.models.masks import checkerboard
from symmim_mm.models.momentum import MomentumBranch
from symmim_mm.utils.errors import UserError

pytestmark = pytest.mark.usefixtures('mmpretrain_scope')


def build(kind: str = 'SymMIM', encoding: str = 'dense', backbone: dict | None = None, **kwargs):
    """A small model with weights as at the start of a training; ``backbone`` changes the encoder's
    settings."""
    depth = 1 if encoding == 'sparse' else 0
    cfg = tiny_config(kind.lower(), decoder_depth=depth, encoding=encoding, **backbone or {})
    model = MODELS.build(cfg | kwargs)
    model.init_weights()
    return model


def masks(**parameters) -> dict:
    """Settings of both checkerboards, with these parameters."""
    return dict(
        online_mask=dict(type='checkerboard', block=1, **parameters),
        momentum_mask=dict(type='checkerboard', block=2, **parameters),
    )


def test_loss_is_the_sum_of_its_parts_computed_apart() -> None:
    """Forward by hand: same masks, same weights, both terms from their definitions."""
    model = build(**masks(parity='fixed'), mim_weight=3.0, contrast_weight=0.5)
    images, other = torch.randn(4, 3, 32, 32), torch.randn(4, 3, 32, 32)
    losses = copy.deepcopy(model).loss([images, other])

    small, large = (checkerboard((4, 4), block).expand(4, -1, -1) for block in (1, 2))
    tokens, _ = model.backbone(images, small)
    expected = 3.0 * model.head.loss(model.head(tokens), images, small)
    torch.testing.assert_close(losses['loss_mim'], expected)
    query = model.contrast_head.predictor(model.contrast_head.projector(tokens[:, 1:].mean(1)))
    keys = model.momentum.projector(model.momentum.backbone(other, large)[0][:, 1:].mean(1))
    expected = 0.5 * model.contrast_head.loss(query, keys)
    torch.testing.assert_close(losses['loss_con'], expected)


@pytest.mark.parametrize('encoding', ['dense', 'sparse'])
def test_gradient_reaches_the_online_branch_and_nothing_else(encoding: str) -> None:
    model = build(encoding=encoding)
    sum(model.loss(torch.randn(4, 3, 32, 32)).values()).backward()
    for name, parameter in model.named_parameters():
        if name.startswith('momentum.') or name == 'backbone.pos_embed':
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            # BatchNorm takes any constant away, so a gradient may be tiny but must be there.
            assert torch.isfinite(parameter.grad).all(), name
    assert model.backbone.patch_embed.projection.weight.grad.abs().sum() > 0
    assert model.contrast_head.projector[0].weight.grad.abs().sum() > 0


def test_momentum_branch_starts_as_a_copy_and_moves_by_the_rule() -> None:
    model = build(momentum=dict(start=0.9, end=0.9, schedule='constant'))
    online = dict(model.backbone.named_parameters())
    follower = dict(model.momentum.backbone.named_parameters())
    assert all(torch.equal(follower[name], value) for name, value in online.items())
    before = {name: value.double().clone() for name, value in follower.items()}
    with torch.no_grad():
        for value in online.values():
            value.add_(torch.randn_like(value))
    assert model.update_momentum(0.3) == 0.9
    for name, value in online.items():
        expected = 0.9 * before[name] + (1 - 0.9) * value.double()
        torch.testing.assert_close(follower[name].double(), expected, rtol=0, atol=1e-6)


def test_momentum_branch_keeps_its_own_batch_statistics() -> None:
    online = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    branch = MomentumBranch(projector=online)
    online[1].running_mean.add_(3.0)
    branch.update(0.0, projector=online)
    assert branch.projector[1].running_mean.tolist() == [0.0, 0.0]


def test_default_masks_are_a_checkerboard_pair_inverted_together() -> None:
    """Golden: one draw of the seed's stream per image decides about both masks."""
    model = build()
    torch.manual_seed(5)
    coin = torch.rand(8) < 0.5
    torch.manual_seed(5)
    for mask, block in zip(model.draw_masks(8, torch.device('cpu')), (1, 2), strict=True):
        assert torch.equal(mask, checkerboard((4, 4), block) ^ coin[:, None, None])


@pytest.mark.parametrize('encoding', ['dense', 'sparse'])
def test_momentum_encoder_sees_the_whole_image(encoding: str) -> None:
    model = build(encoding=encoding, momentum_mask=None)
    images = torch.randn(4, 3, 32, 32)
    key = model.encode_key(images, model.draw_masks(4, torch.device('cpu'))[1])
    expected = model.momentum.projector(model.momentum.backbone(images)[0][:, 1:].mean(dim=1))
    torch.testing.assert_close(key, expected)
    assert set(model.state_dict()) == set(build(encoding=encoding).state_dict())
    assert torch.isfinite(model.loss(images)['loss_con'])


def test_masks_of_any_type_for_both_encoders() -> None:
    model = build(
        encoding='sparse',
        online_mask=dict(type='random', ratio=0.75),
        momentum_mask=dict(type='grid', keep_every=2),
    )
    small, large = model.draw_masks(3, torch.device('cpu'))
    assert small.flatten(1).sum(1).tolist() == large.flatten(1).sum(1).tolist() == [12] * 3
    assert (model.online_visible, model.momentum_visible) == (4, 4)
    assert torch.isfinite(sum(model.loss(torch.randn(4, 3, 32, 32)).values()))


@pytest.mark.parametrize('encoding', ['dense', 'sparse'])
def test_contrast_alone_computes_no_reconstruction(encoding: str) -> None:
    model = build(encoding=encoding, mim_weight=0.0)
    losses = model.loss(torch.randn(4, 3, 32, 32))
    assert set(losses) == {'loss_con'}
    losses['loss_con'].backward()
    assert not any(name.startswith('head.') for name in model.state_dict())
    unused = {n for n, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert not {name for name in unused if not name.startswith('momentum.')}
    with pytest.raises(UserError, match='mim_weight=0'):
        model.reconstruct(torch.randn(2, 3, 32, 32))


def test_without_any_mask_it_is_a_contrast_of_whole_images() -> None:
    model = build(mim_weight=0.0, online_mask=None, momentum_mask=None)
    assert set(model.loss(torch.randn(4, 3, 32, 32))) == {'loss_con'}


def test_keys_are_computed_without_stochastic_depth_and_dropout() -> None:
    drops = dict(drop_rate=0.5, drop_path_rate=0.5, layer_cfgs=dict(attn_drop_rate=0.5))
    model = build(backbone=drops).train()
    images, (_, mask) = torch.randn(4, 3, 32, 32), model.draw_masks(4, torch.device('cpu'))
    assert torch.equal(model.encode_key(images, mask), model.encode_key(images, mask))
    online = [model.backbone(images, mask)[0] for _ in range(2)]
    assert not torch.equal(*online)
    assert model.momentum.projector[1].training, 'BatchNorm uses the statistics of the batch'
    model.eval()
    assert not model.momentum.projector[1].training


def test_momentum_branch_starts_from_a_checkpoint_without_one() -> None:
    """A file of MAE or SimMIM, read as ``load_from`` reads it."""
    model, other = build(), build(contrast_weight=0.0)
    load_state_dict(model, other.state_dict(), strict=False)
    for name, value in other.backbone.state_dict().items():
        assert torch.equal(model.momentum.backbone.state_dict()[name], value), name


def test_momentum_branch_of_a_checkpoint_is_kept() -> None:
    model, other = build(), build()
    other.momentum.update(0.5, **build().online_modules())
    load_state_dict(model, other.state_dict(), strict=False)
    for name, value in other.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_symmetric_loss_needs_two_views() -> None:
    with pytest.raises(UserError, match='needs two views'):
        build(symmetric_loss=True).loss(torch.randn(4, 3, 32, 32))


def test_sparse_keeps_as_many_patches_as_every_mask_leaves() -> None:
    """On 7 x 7 a checkerboard leaves 25 or 24 patches visible: 24 are encoded of each image."""
    model = build(encoding='sparse', backbone=dict(img_size=56))
    assert model.online_visible == 24
    losses = model.loss(torch.randn(6, 3, 56, 56))
    assert all(torch.isfinite(value) for value in losses.values())


def test_options_of_the_method_change_the_loss() -> None:
    images = [torch.randn(4, 3, 32, 32), torch.randn(4, 3, 32, 32)]
    plain = build().loss(images)
    assert set(build(contrast_weight=0.0).loss(images)) == {'loss_mim'}
    assert not hasattr(build(contrast_weight=0.0), 'momentum')
    torch.manual_seed(0)
    both = build(symmetric_loss=True).loss(images)
    assert both['loss_con'] > 1.3 * plain['loss_con']


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        (masks(parity='odd'), 'parity must be'),
        (dict(momentum_mask=dict(type='stripes')), 'momentum_mask: type must be one of'),
        (dict(online_mask=None), 'nothing is reconstructed'),
        (dict(contrast_weight=-1.0), 'contrast_weight'),
        (dict(mim_weight=0.0, contrast_weight=0.0), 'not both 0'),
        (dict(momentum=dict(start=1.2)), 'momentum must lie'),
        (dict(momentum=dict(schedule='linear')), 'schedule must be'),
        (dict(head=dict(loss='huber')), 'pixel loss'),
    ],
)
def test_bad_settings_are_one_clear_line(kwargs: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        build(**kwargs)


@pytest.mark.parametrize('kind', ['SymMIM', 'SimMIM'])
def test_a_fixed_batch_is_fitted(kind: str) -> None:
    """Two smooth images, fixed masks: L_mim falls below a fiftieth of its start."""
    torch.manual_seed(2)
    steps, rate = 400, 8e-3
    extra = masks(parity='fixed') if kind == 'SymMIM' else dict(mask=dict(type='random', ratio=0.5))
    model = build(kind, **extra).train()
    images = torch.nn.functional.interpolate(torch.randn(2, 3, 4, 4), 32, mode='bilinear')
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    history = []
    for _ in range(steps):
        torch.manual_seed(0)  # the same masks every time
        losses = model.loss(images)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        schedule.step()
        if kind == 'SymMIM':
            model.update_momentum(0.5)
        history.append(losses['loss_mim'].item())
    assert history[-1] < 0.02 * history[0]


def test_simmim_masks_and_refusals() -> None:
    model = build('SimMIM', mask=dict(type='random', ratio=0.5, unit=2))
    mask, visible = model.draw_reconstruction_mask(8, torch.device('cpu'))
    assert mask.flatten(1).sum(1).tolist() == [8] * 8
    assert visible == 8
    with pytest.raises(UserError, match='mask: type must be one of'):
        build('SimMIM', mask=dict(type='stripes'))
    for good in (dict(type='blockwise', ratio=0.5), dict(type='checkerboard'), dict(type='grid')):
        other = build('SimMIM', encoding='sparse', mask=good)
        assert torch.isfinite(other.loss(torch.randn(2, 3, 32, 32))['loss_mim'])


def test_sparse_needs_a_decoder_at_construction() -> None:
    with pytest.raises(UserError, match='pixel decoder'):
        build(encoding='sparse', head={})
