"""Tokens of every kind of encoder, by hand: 14 x 14 patches at 224 pixels, 64 x 64 at 1024."""

import pytest
from read_config import read_config

from symmim_mm.config.image_size import training_image_size
from symmim_mm.planning.fake_model import build_without_storage
from symmim_mm.planning.tokens import count_tokens


@pytest.fixture
def tokens_of():
    def count(name: str, **model):
        cfg = read_config(name)
        cfg.merge_from_dict({f'model.{key}': value for key, value in model.items()})
        return count_tokens(build_without_storage(cfg), training_image_size(cfg))

    return count


def test_symmim_dense(tokens_of):
    online, momentum = tokens_of('symmim/vit_b_literal_pretrain.py')
    assert (online.encoder, online.patches, online.masked, online.encoded) == (
        'online', 196, (98,), 197
    )  # fmt: skip
    # 7 x 7 squares of 2 x 2: 24 or 25 of them.
    assert (momentum.encoder, momentum.masked, momentum.encoded) == ('momentum', (96, 100), 197)


def test_symmim_sparse(tokens_of):
    online, momentum = tokens_of('symmim/vit_b_pretrain.py')
    assert (online.encoded, momentum.encoded) == (98 + 1, 96 + 1)


def test_symmim_with_fixed_masks(tokens_of):
    mask = dict(type='checkerboard', block=2, parity='fixed')
    momentum = tokens_of('symmim/vit_s_pretrain.py', momentum_mask=mask)[1]
    assert momentum.masked == (96,)
    momentum = tokens_of('symmim/vit_s_pretrain.py', momentum_mask=dict(mask, shift=True))[1]
    assert set(momentum.masked) >= {96, 98, 100}


def test_symmim_with_a_whole_momentum_view(tokens_of):
    momentum = tokens_of('symmim/vit_b_pretrain.py', momentum_mask=None)[1]
    assert (momentum.masked, momentum.encoded) == ((), 196 + 1)


def test_symmim_without_contrast(tokens_of):
    assert [t.encoder for t in tokens_of('symmim/vit_s_pretrain.py', contrast_weight=0.0)] == [
        'online'
    ]


def test_mae(tokens_of):
    (encoder,) = tokens_of('mae/vit_s_pretrain.py')
    assert (encoder.masked, encoder.encoded) == ((147,), 49 + 1)


def test_simmim(tokens_of):
    """30 of 49 squares of 32 pixels."""
    (encoder,) = tokens_of('simmim/vit_s_pretrain.py')
    assert (encoder.masked, encoder.encoded) == ((120,), 197)


def test_windows(tokens_of):
    (encoder,) = tokens_of('detection/mask-rcnn_vit_s_100ep_coco.py')
    assert (encoder.patches, encoder.encoded) == (4096, 4097)
    assert (encoder.windows, encoder.per_window, encoder.windowed_blocks) == (16, 257, 8)


def test_largest_image_of_several(tokens_of):
    """Mask R-CNN 1x: 800 x 1333, padded to 800 x 1344, without windows."""
    (encoder,) = tokens_of('detection/mask-rcnn_vit_s_1x_coco.py')
    assert (encoder.grid, encoder.windows) == ((50, 84), 0)


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
