"""The crop for evaluation is that of MMPretrain's pipeline."""

from pathlib import Path

import numpy as np
import pytest
import torch
from encoded_images import folder_of_jpegs, psnr
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS

from symmim_mm.datasets.transforms.load_center_crop import LoadCenterCrop
from symmim_mm.utils.errors import UserError


@pytest.mark.parametrize(('edge', 'crop'), [(64, 56), (51, 51), (300, 32)])
def test_images_of_the_stock_pipeline(
    mmpretrain_scope, tmp_path: Path, edge: int, crop: int
) -> None:
    """As for random crops: 50 dB in the median, 40 dB at worst."""
    scale = dict(scale=edge, edge='short', backend='pillow', interpolation='bicubic')
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='ResizeEdge', **scale),
        dict(type='CenterCrop', crop_size=crop),
    ]
    stock = Compose([TRANSFORMS.build(step) for step in steps])
    ours = TRANSFORMS.build(dict(type='symmim_mm.LoadCenterCrop', edge=edge, crop=crop))
    found = []
    for path in folder_of_jpegs(tmp_path, 10):
        expected, got = stock(dict(img_path=path)), ours(dict(img_path=path))
        assert got['img'].dtype == torch.uint8 and got['img'].is_contiguous()
        assert got['img_shape'] == expected['img_shape'] == (crop, crop)
        assert got['ori_shape'] == expected['ori_shape']
        found.append(psnr(got['img'].numpy(), expected['img'].transpose(2, 0, 1)))
    assert np.median(found) >= 50 and min(found) >= 40


@pytest.mark.parametrize('crop', [0, 65])
def test_crops_that_the_edge_cannot_hold(crop: int) -> None:
    with pytest.raises(UserError, match=rf'between 1 and edge \(64\), got {crop}'):
        LoadCenterCrop(64, crop)
