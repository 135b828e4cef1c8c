"""Learning rate, weight decay and betas along whole runs, against the formulas of the methods' own
code; the EMA momentum is in ``test_parity_moco`` and ``test_momentum_hook``.

MMEngine's schedulers are driven as a run drives them, on the parameter groups that the config's own
optimizer settings make. Two things differ from the formulas by construction:

* a warm-up of W micro-batches reaches the full rate in number W - 1, not W, and starts at a small
  share of it, not always at the formula's: less than ``1 / (W - 1) + share`` of the peak;
* the steps between are taken by recursion, whose rounding adds up to some 1e-10 over a run.
"""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain.models import VisionTransformer
from paths import ROOT
from schedule_formulas import BY_EPOCH, PEAKS, linear_to_zero, warmed_up_steps
from torch import nn

from symmim_mm.config.recipe import apply_recipe
from symmim_mm.planning.length import Length
from symmim_mm.planning.schedule import RateSchedule, iter_rates, optimizer_with_rates

ROUNDING = 1e-8  # of the peak


def read(
    name: str, processes: int = 8, accumulation: int | None = None, shorter: int = 1
) -> Config:
    """A config on some processes, its micro-batches cut so that it accumulates ``accumulation``;
    one that is stated in iterations made ``shorter`` times shorter."""
    cfg = Config.fromfile(ROOT / 'configs' / name)
    if accumulation:
        cfg.recipe.max_batch_per_gpu = cfg.recipe.batch // processes // accumulation
    if shorter > 1:
        for key in ('iterations', 'warmup_iterations'):
            cfg.recipe[key] = cfg.recipe[key] // shorter
        if 'milestones' in cfg.recipe:
            cfg.recipe.milestones = [step // shorter for step in cfg.recipe.milestones]
    apply_recipe(cfg, processes)
    return cfg


def short_length(cfg: Config, steps_per_epoch: int = 5) -> Length:
    """The whole run with very few steps in an epoch; the length of one stated in iterations."""
    accumulation = cfg.optim_wrapper.accumulative_counts
    if 'max_iters' in cfg.train_cfg:
        iterations, length = cfg.train_cfg.max_iters, 0
    else:
        length = steps_per_epoch * accumulation
        iterations = cfg.train_cfg.max_epochs * length
    return Length(length, iterations, iterations // accumulation, None, 0)


class SmallModel(nn.Module):
    """Depth and names of a config's model, four channels wide: the same parameter groups."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        layers = 24 if cfg.model.backbone.arch == 'large' else 12
        arch = dict(embed_dims=4, num_layers=layers, num_heads=1, feedforward_channels=4)
        self.backbone = VisionTransformer(arch=arch, img_size=16, patch_size=16)
        if cfg.run.task == 'linear':
            self.backbone.requires_grad_(False)
        self.head = nn.Linear(4, 2)


def check_all_groups(name: str, cfg: Config, length: Length, expected: np.ndarray, slack) -> None:
    """Every group of the real optimizer settings has its share of ``expected``, step by step; its
    betas, momentum and weight decay stay."""
    optimizer = build_optim_wrapper(SmallModel(cfg), cfg.optim_wrapper).optimizer
    peak = cfg.optim_wrapper.optimizer.lr
    shares = np.array([group['lr'] / peak for group in optimizer.param_groups])
    kept = ('betas', 'momentum', 'weight_decay', 'eps')
    before = [{key: group.get(key) for key in kept} for group in optimizer.param_groups]
    found = np.array(list(iter_rates(cfg, length, optimizer)))
    assert [{key: group.get(key) for key in kept} for group in optimizer.param_groups] == before
    if name in PEAKS:
        assert peak == pytest.approx(PEAKS[name])
    difference = np.abs(found / peak / shares - expected[:, None]).max(axis=1)
    assert (difference <= slack).all(), (difference - slack).argmax()


@pytest.mark.parametrize(('processes', 'accumulation'), [(8, 1), (1, 4)], ids=['8x1', '1x4'])
@pytest.mark.parametrize('name', BY_EPOCH)
def test_warm_up_and_fall_by_epoch(name: str, processes: int, accumulation: int) -> None:
    cfg = read(name, processes, accumulation)
    assert cfg.optim_wrapper.accumulative_counts == accumulation
    length = short_length(cfg)
    steps = range(length.iterations)
    expected = np.array([BY_EPOCH[name](i, length.epoch_length) for i in steps])
    warmup = round(cfg.recipe.warmup_epochs * length.epoch_length)
    slack = np.full(length.iterations, ROUNDING)
    slack[:warmup] += 1 / (warmup - 1) + 1e-4
    check_all_groups(name, cfg, length, expected, slack)


LENGTHS = [(1, 20), (4, 20), pytest.param(1, 1, marks=pytest.mark.slow)]  # accumulation, shorter


@pytest.mark.parametrize(('accumulation', 'shorter'), LENGTHS)
def test_vitdets_steps(accumulation: int, shorter: int) -> None:
    """detectron2 mask_rcnn_vitdet_b_100ep.py; in full length 184,375 optimizer steps."""
    cfg = read('detection/mask-rcnn_vit_b_100ep_coco.py', 2, accumulation, shorter)
    length = short_length(cfg)
    assert length.steps == 184_375 // shorter
    peaks = [1e-4, 1e-4 * 0.7**13]
    found = np.array(list(iter_rates(cfg, length, optimizer_with_rates(peaks))))
    found = found[accumulation - 1 :: accumulation]  # the rates that make steps
    warmup, *falls = (step // shorter for step in (250, 163_889, 177_546))
    share = [warmed_up_steps(i, warmup, 0.001, falls) for i in range(length.steps)]
    slack = np.full(length.steps, ROUNDING)
    slack[:warmup] += 1 / (warmup - 1)
    for group, peak in enumerate(peaks):
        assert (np.abs(found[:, group] / peak - share) <= slack).all()


@pytest.mark.parametrize(('accumulation', 'shorter'), LENGTHS)
@pytest.mark.parametrize('size', ['s', 'b'])
def test_upernets_linear_fall(size: str, accumulation: int, shorter: int) -> None:
    """The last step has rate 0, where MMSegmentation's formula comes one step later."""
    name = f'segmentation/upernet_vit_{size}_160k_ade20k.py'
    cfg = read(name, 1 if accumulation > 1 else 8, accumulation, shorter)
    length = short_length(cfg)
    total, warmup = 160_000 // shorter, 1500 // shorter
    assert length.steps == total
    peak = cfg.optim_wrapper.optimizer.lr
    assert peak == PEAKS[name]
    found = np.array(list(iter_rates(cfg, length, optimizer_with_rates([peak]))))[:, 0] / peak
    found = found[accumulation - 1 :: accumulation]
    steps = np.arange(total)
    expected = np.array([linear_to_zero(i, warmup, total) for i in steps])
    slack = np.where(steps < warmup, 1 / (warmup - 1), 1 / (total - warmup - 1)) + ROUNDING
    assert (np.abs(found - expected) <= slack).all()
    # BEiT and CAE under mmcv 1.x fall from iteration 0 on, and warm up on top of that.
    beit = (1 - steps / total) * np.minimum(steps / warmup, 1)
    assert np.abs(found - beit).max() <= 1500 / 160_000 + 1 / (warmup - 1)


@pytest.mark.parametrize('accumulation', [1, 2])
def test_mask_rcnn_1x(accumulation: int) -> None:
    """CAE: 500 iterations from .001 of the rate, a tenth after epochs 9 and 11."""
    name = 'detection/mask-rcnn_vit_b_1x_coco.py'
    cfg = read(name, 8, accumulation)
    length = short_length(cfg, steps_per_epoch=600)
    steps = range(length.steps)
    share = np.array([warmed_up_steps(i, 500, 0.001, [9 * 600, 11 * 600]) for i in steps])
    warmup = 500 * accumulation
    expected = np.repeat(share, accumulation)
    slack = np.full(length.iterations, ROUNDING)
    slack[:warmup] += 1 / (warmup - 1) + (accumulation - 1) / warmup
    check_all_groups(name, cfg, length, expected, slack)


@pytest.mark.parametrize(
    'name', sorted(str(p.relative_to(ROOT / 'configs')) for p in (ROOT / 'configs').rglob('*.py')
                   if '_base_' not in p.parts)
)  # fmt: skip
def test_formula_of_dry_runs_for_every_config(name: str) -> None:
    cfg = Config.fromfile(ROOT / 'configs' / name)
    if 'evaluation' in cfg:
        pytest.skip('nothing is trained')
    cfg = read(name, 1, shorter=100 if cfg.recipe.get('iterations', 0) > 10_000 else 1)
    length = short_length(cfg, steps_per_epoch=1 if cfg.recipe.get('epochs', 0) > 20 else 10)
    assert all(item.type.endswith('LR') for item in cfg.param_scheduler)  # no decay, no betas
    schedule = RateSchedule(cfg, length, 0.3)
    assert schedule.has_formula
    found = [rate for (rate,) in iter_rates(cfg, length, optimizer_with_rates([0.3]))]
    expected = pytest.approx(found, rel=1e-7, abs=1e-9)
    assert schedule.rates_at(range(length.iterations)) == expected


def test_schedulers_without_a_formula_are_stepped_through() -> None:
    cfg = read('quickstart/mae_pretrain.py', 1)
    cfg.param_scheduler = [dict(type='ExponentialLR', gamma=0.5, by_epoch=True)]
    schedule = RateSchedule(cfg, Length(2, 16, 16, 8.0, 0), 1.0)
    assert not schedule.has_formula
    assert schedule.rates_at([15, 0, 2]) == pytest.approx([0.5**7, 1.0, 0.5])


def test_the_small_model_has_the_groups_of_the_real_one() -> None:
    cfg = read('classification/vit_l_finetune_imagenet.py')
    groups = build_optim_wrapper(SmallModel(cfg), cfg.optim_wrapper).optimizer.param_groups
    peak = cfg.optim_wrapper.optimizer.lr
    assert min(group['lr'] for group in groups) == pytest.approx(peak * 0.75**25)
    assert len(groups) == 2 * 26
    torch.testing.assert_close(max(group['lr'] for group in groups), peak)
