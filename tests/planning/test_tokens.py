"""Tokens of every kind of encoder, by hand: 14 x 14 patches at 224 pixels, 64 x 64 at 1024."""

import pytest
from read_config import read_config

from symmim_mm.config.image_size import training_image_size
from symmim_mm.planning.fake_model import build_without_storage
from symmim_mm.planning.tokens import Tokens, count_tokens


def tokens_of(name: str, **model: object) -> list[Tokens]:
    cfg = read_config(name)
    cfg.merge_from_dict({f'model.{key}': value for key, value in model.items()})
    return count_tokens(build_without_storage(cfg), training_image_size(cfg))


TWO_BY_TWO = dict(type='checkerboard', block=2, parity='fixed')


@pytest.mark.parametrize(
    ('name', 'changes', 'expected'),
    [
        # 7 x 7 squares of 2 x 2: 24 or 25 of them.
        ('symmim/vit_b_literal_pretrain.py', {}, [('online', {98}, 197),
                                                  ('momentum', {96, 100}, 197)]),
        ('symmim/vit_b_pretrain.py', {}, [('online', {98}, 99), ('momentum', {96, 100}, 97)]),
        ('symmim/vit_b_pretrain.py', dict(momentum_mask=None), [('online', {98}, 99),
                                                                ('momentum', set(), 197)]),
        ('symmim/vit_s_pretrain.py', dict(momentum_mask=TWO_BY_TWO), [('online', {98}, 99),
                                                                      ('momentum', {96}, 101)]),
        ('symmim/vit_s_pretrain.py', dict(contrast_weight=0.0), [('online', {98}, 99)]),
        ('mae/vit_s_pretrain.py', {}, [('encoder', {147}, 50)]),
        ('simmim/vit_s_pretrain.py', {}, [('encoder', {120}, 197)]),  # 30 of 49 squares
    ],
)  # fmt: skip
def test_pretraining(name: str, changes: dict, expected: list) -> None:
    found = tokens_of(name, **changes)
    assert [(each.encoder, {*each.masked}, each.encoded) for each in found] == expected


def test_a_shifted_mask_has_more_numbers() -> None:
    mask = dict(TWO_BY_TWO, shift=True)
    assert {96, 98, 100} <= {*tokens_of('symmim/vit_s_pretrain.py', momentum_mask=mask)[1].masked}


@pytest.mark.parametrize(
    ('name', 'grid', 'windows'),
    [
        ('detection/mask-rcnn_vit_s_100ep_coco.py', (64, 64), (16, 257, 8)),
        # The largest image of several: 800 x 1333, padded to 800 x 1344.
        ('detection/mask-rcnn_vit_s_1x_coco.py', (50, 84), (0, 0, 0)),
    ],
)
def test_detection(name: str, grid: tuple, windows: tuple) -> None:
    (found,) = tokens_of(name)
    assert (found.grid, found.encoded) == (grid, grid[0] * grid[1] + 1)
    assert (found.windows, found.per_window, found.windowed_blocks) == windows


@pytest.mark.parametrize(
    ('name', 'size'),
    [
        ('classification/vit_s_finetune_imagenet.py', (224, 224)),
        ('segmentation/upernet_vit_s_160k_ade20k.py', (512, 512)),
        ('detection/mask-rcnn_vit_s_100ep_coco.py', (1024, 1024)),
        ('detection/mask-rcnn_vit_s_1x_coco.py', (800, 1344)),
        ('quickstart/mask_rcnn.py', (96, 96)),
        ('quickstart/upernet.py', (96, 96)),
        ('quickstart/symmim_pretrain.py', (64, 64)),
        ('real/mask_rcnn_tiny_coco.py', (224, 224)),
        ('real/cifar10_finetune.py', (32, 32)),
    ],
)
def test_image_sizes(name, size):
    assert training_image_size(read_config(name)) == size
