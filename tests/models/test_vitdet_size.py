"""The published ViTDet at full size."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from paths import ROOT
from torch import nn


@pytest.mark.parametrize(
    ('size', 'width', 'depth', 'millions'), [('b', 768, 12, 111), ('l', 1024, 24, 331)]
)
def test_full_size_vitdet(size: str, width: int, depth: int, millions: int) -> None:
    """Counted layer by layer from detectron2's vit.py, mask_rcnn_vitdet.py and mask_rcnn_fpn.py."""
    cfg = Config.fromfile(ROOT / f'configs/detection/mask-rcnn_vitdet_{size}_100ep_coco.py')
    init_default_scope('mmdet')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)

    def conv(before: int, after: int, kernel: int, rest: int = 0) -> int:
        return before * after * kernel**2 + (rest or after)

    def normed(before: int, after: int, kernel: int) -> int:  # no bias, a LayerNorm of two vectors
        return conv(before, after, kernel, 2 * after)

    block = 12 * width**2 + 13 * width
    relative = 2 * 64 * (4 * (2 * 64 - 1) + (depth - 4) * (2 * 14 - 1))  # heads are 64 wide
    # detectron2 keeps the position of the class token, which it does not use.
    vit = conv(3, width, 16) + 196 * width + depth * block + relative
    half, quarter = width // 2, width // 4
    pyramid = conv(width, half, 2) + 2 * half + conv(half, quarter, 2) + conv(width, half, 2)
    pyramid += sum(normed(c, 256, 1) + normed(256, 256, 3) for c in (quarter, half, width, width))
    rpn = 2 * conv(256, 256, 3) + conv(256, 3, 1) + conv(256, 12, 1)
    box = 4 * normed(256, 256, 3) + conv(256 * 49, 1024, 1) + conv(1024, 81, 1) + conv(1024, 320, 1)
    mask = 4 * normed(256, 256, 3) + conv(256, 256, 2) + conv(256, 80, 1)
    assert count(model.backbone) == vit
    assert count(model) == vit + pyramid + rpn + box + mask
    assert round(count(model) / 1e6) == millions


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
