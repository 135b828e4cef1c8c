"""Memory that does not depend on the batch, the peak of living tensors, parameter groups."""

import pytest
import torch
from read_config import read_config
from torch._subclasses.fake_tensor import FakeTensorMode

from symmim_mm.planning.fake_model import build_without_storage
from symmim_mm.planning.groups import parameter_groups
from symmim_mm.planning.memory import PeakMemory, fixed_memory, sharded_memory, state_values


@pytest.mark.parametrize(
    ('optimizer', 'values'),
    [
        (dict(type='AdamW', lr=1e-3, betas=(0.9, 0.98), weight_decay=0.05), 2),
        (dict(type='SGD', lr=0.1), 0),
        (dict(type='SGD', lr=0.1, momentum=0.9), 1),
        (dict(type='mmpretrain.LARS', lr=0.1, momentum=0.9), 1),
    ],
)
def test_states_of_optimizers(optimizer, values):
    assert state_values(optimizer) == values


def test_symmims_memory():
    """Four bytes a parameter: all have one, the trained ones three more, and DDP's bucket."""
    cfg = read_config('symmim/vit_s_pretrain.py')
    model = build_without_storage(cfg)
    every = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    copy = sum(p.numel() for p in model.momentum.parameters())
    positions = model.backbone.pos_embed.numel()
    assert every == trained + copy + positions
    one = fixed_memory(model, cfg, 1)
    assert (one.parameters, one.momentum_copy) == (4 * every, 4 * copy)
    assert (one.gradients, one.optimizer_states) == (4 * trained, 8 * trained)
    assert one.gradient_buckets == 0
    many = fixed_memory(model, cfg, 8)
    assert many.gradient_buckets == 4 * trained
    assert many.total == one.total + 4 * trained
    assert one.total == 4 * (every + 3 * trained) + one.buffers


def test_the_average_of_the_weights_is_a_copy():
    cfg = read_config('classification/vit_s_scratch_imagenet.py', 8)
    model = build_without_storage(cfg)
    with_average = fixed_memory(model, cfg, 1)
    cfg.custom_hooks = []
    without, copy = fixed_memory(model, cfg, 1), 4 * sum(p.numel() for p in model.parameters())
    assert (without.momentum_copy, with_average.momentum_copy) == (0, copy)
    assert with_average.total == without.total + copy


def test_sharded_memory():
    """16 bytes a parameter in shards; parameters and gradients of one of 12 blocks, and of what is
    in none, are gathered."""
    cfg = read_config('classification/vit_s_finetune_imagenet.py', 8)
    model = build_without_storage(cfg)
    every = sum(p.numel() for p in model.parameters())
    block = sum(p.numel() for p in model.backbone.layers[0].parameters())
    assert block == 12 * 384**2 + 13 * 384
    whole = fixed_memory(model, cfg, 8)
    memory = sharded_memory(model, whole, 8)
    assert memory.shares == 16 * every / 8 + whole.buffers
    assert memory.gathered == 8 * (every - 11 * block)


def test_a_frozen_encoder_needs_its_weights_only():
    cfg = read_config('quickstart/knn.py')
    memory = fixed_memory(build_without_storage(cfg), cfg, 1)
    assert memory.total == memory.parameters + memory.buffers


def test_groups_hold_every_trained_parameter_once():
    for name in (
        'symmim/vit_s_pretrain.py',
        'classification/vit_s_finetune_imagenet.py',
        'classification/vit_s_linear_imagenet.py',
        'detection/mask-rcnn_vit_s_100ep_coco.py',
        'segmentation/upernet_vit_s_160k_ade20k.py',
    ):
        cfg = read_config(name)
        model = build_without_storage(cfg)
        groups = parameter_groups(model, cfg)
        names = [parameter for group in groups for parameter in group.names]
        trained = {n: p.numel() for n, p in model.named_parameters() if p.requires_grad}
        assert sorted(names) == sorted(trained), name
        for group in groups:
            assert group.parameters == sum(trained[parameter] for parameter in group.names)
            assert group.lr == pytest.approx(group.lr_scale * cfg.optim_wrapper.optimizer.lr)
        assert max(group.lr_scale for group in groups) == 1
        settings = [(group.lr, group.weight_decay) for group in groups]
        assert settings == sorted(set(settings))


def test_mixed_precision_and_fused_steps_change_no_group():
    cfg = read_config('quickstart/finetune.py')
    model = build_without_storage(cfg)
    expected = parameter_groups(model, cfg)
    cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype='bfloat16')
    cfg.optim_wrapper.optimizer.fused = True
    assert parameter_groups(model, cfg) == expected


KIB = 1024


def two_steps(width: int) -> tuple[int, int]:
    """Make two tensors and a third of both, drop one: ``(live, peak)`` in bytes."""
    with PeakMemory() as memory:
        first = torch.zeros(width)
        second = first + 1.0
        del first
        third = second * second.view(-1)
        del second
    live, peak = memory.live, memory.peak
    del third
    return live, peak


def test_live_and_peak_of_real_and_fake_tensors():
    assert two_steps(256) == (KIB, 2 * KIB)
    with FakeTensorMode():
        assert two_steps(256) == (KIB, 2 * KIB)


def test_known_tensors_views_and_updates_in_place_are_free():
    known = torch.zeros(64)
    with PeakMemory([known]) as memory:
        known.add_(1.0)
        view = known[:32].view(8, 4)
        view.mul_(2.0)
    assert memory.peak == 0


def test_what_backward_keeps():
    """exp keeps its result, 4 KiB; its backward makes the gradient that was not there."""
    weight = torch.ones(1024, requires_grad=True)
    with PeakMemory([weight]) as memory:
        loss = weight.exp().sum()
        kept = memory.live
        loss.backward()
    assert kept == 4 * KIB + 4
    assert memory.live >= 4 * KIB
    assert memory.peak >= 8 * KIB
