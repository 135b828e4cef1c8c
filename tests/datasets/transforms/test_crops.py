"""The fast loaders take the same crops as MMPretrain's pipeline and give the same images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from encoded_images import SAMPLING, drawn, folder_of_jpegs, jpeg, psnr, turned
from hypothesis import example, given
from hypothesis import strategies as st
from mmengine.dataset import Compose, default_collate
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from symmim_mm.datasets.transforms.crops import LoadCenterCrop, LoadRandomResizedCrop, resize
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.utils.errors import UserError

CROP = dict(scale=64, crop_ratio_range=(0.2, 1.0))
FLIP = dict(type='mmpretrain.RandomFlip', prob=0.5)
PACK = dict(type='mmpretrain.PackInputs')
OURS = dict(type='symmim_mm.LoadRandomResizedCrop', **CROP)


def pipeline(*steps: dict) -> Compose:
    return Compose([TRANSFORMS.build(step) for step in steps])


def stock(*, flip: bool = True, **crop) -> Compose:
    """MMPretrain's own steps: OpenCV decodes, Pillow resizes."""
    crop = dict(type='RandomResizedCrop', backend='pillow', interpolation='bicubic') | CROP | crop
    return pipeline(dict(type='LoadImageFromFile'), crop, *([FLIP] if flip else []), PACK)


def images(steps: Compose, paths: list[str], seed: int = 0) -> np.ndarray:
    """The batch of a pipeline, ``(B, 3, H, W)``."""
    np.random.seed(seed)
    batch = default_collate([steps(dict(img_path=path, sample_idx=0)) for path in paths])
    assert batch['inputs'].dtype == torch.uint8 and batch['inputs'].is_contiguous()
    return batch['inputs'].numpy()


@pytest.fixture(scope='module')
def jpegs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return folder_of_jpegs(tmp_path_factory.mktemp('images'), 20)


@pytest.mark.parametrize('crop', [(0.2, 1.0), (0.08, 1.0), (0.67, 1.0)], ids=str)
def test_images_of_the_stock_pipeline(mmpretrain_scope, jpegs: list[str], crop: tuple) -> None:
    """At least 50 dB in the median and 40 dB at worst against OpenCV's decoding + Pillow."""
    found = []
    for seed in range(3):
        expected = images(stock(crop_ratio_range=crop), jpegs, seed)
        ours = dict(OURS, crop_ratio_range=crop, flip_prob=0.5)
        got = images(pipeline(ours, PACK), jpegs, seed)
        found += [psnr(a, b) for a, b in zip(got, expected, strict=True)]
        # A crop or a flip drawn otherwise, or after another number, would show at once.
        assert min(found) >= 40
    assert np.median(found) >= 50


def test_arrays_for_further_stock_steps(mmpretrain_scope, jpegs: list[str]) -> None:
    got = images(pipeline(dict(OURS, layout='hwc'), FLIP, PACK), jpegs)
    assert min(map(psnr, got, images(stock(), jpegs))) >= 40
    assert np.array_equal(got, images(pipeline(dict(OURS, flip_prob=0.5), PACK), jpegs))


@example(size=(37, 46), sampling='4:4:4', scale=17, seed=1743)  # overshoots
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    sampling=st.sampled_from(list(SAMPLING)),
    scale=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_images_down_to_one_pixel(size: tuple, sampling: str, scale: int, seed: int) -> None:
    image = np.ascontiguousarray(drawn(90, 90, 2)[: size[0], : size[1]])
    data = jpeg(image, sampling)
    step = LoadRandomResizedCrop(scale, (0.05, 1.0), flip_prob=0.5)
    np.random.seed(seed)
    got = step(dict(img_bytes=data))['img'].numpy()
    np.random.seed(seed)
    whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    top, left, rows, columns = step.rand_crop_params(whole)
    part = Image.fromarray(whole[top : top + rows, left : left + columns])
    # Pillow's two passes one by one: in one call it does not round sums that overshoot in between
    # as it does here, and its own results differ, at a few pixels of hard edges by 10 and more.
    wide = part.resize((scale, rows), Image.BICUBIC)
    expected = np.asarray(wide.resize((scale, scale), Image.BICUBIC)).transpose(2, 0, 1)
    if np.random.random_sample() < 0.5:
        expected = expected[..., ::-1]
    # Two roundings of fixed-point sums; the decibels of one pixel would say little.
    assert np.abs(got.astype(int) - expected).max() <= 2


def test_resize_takes_views() -> None:
    image = drawn(60, 80)
    expected = resize(image[::-1, 10:60].copy(), (30, 20))
    got = resize(image[::-1, 10:60], (30, 20))
    assert got.shape == (3, 30, 20) and got.is_contiguous() and torch.equal(got, expected)
    reference = Image.fromarray(image[::-1, 10:60].copy()).resize((20, 30), Image.BICUBIC)
    assert psnr(got.numpy(), np.asarray(reference).transpose(2, 0, 1)) > 50


def test_flips_as_often_as_asked(tmp_path: Path) -> None:
    path = str(tmp_path / 'a.jpg')
    Path(path).write_bytes(jpeg(drawn(16, 16)))
    np.random.seed(0)
    for prob, low, high in ((0.0, 0, 0), (1.0, 400, 400), (0.25, 70, 130)):
        step = LoadRandomResizedCrop(8, flip_prob=prob)
        assert low <= sum(step(dict(img_path=path))['flip'] for _ in range(400)) <= high


def test_keys(tmp_path: Path) -> None:
    (tmp_path / 'a.jpg').write_bytes(turned(drawn(20, 30), 6))
    results = LoadRandomResizedCrop((8, 12))(dict(img_path=str(tmp_path / 'a.jpg'), gt_label=3))
    assert results.keys() == {'img_path', 'gt_label', 'img', 'ori_shape', 'img_shape'}
    assert results['ori_shape'] == (30, 20) and results['img_shape'] == (8, 12)
    assert results['img'].shape == (3, 8, 12) and results['img'].dtype == torch.uint8


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="layout must be one of .*, got 'nchw'"):
        LoadRandomResizedCrop(224, layout='nchw')
    with pytest.raises(UserError, match='flip_prob must be between 0 and 1, got 1.5'):
        LoadRandomResizedCrop(224, flip_prob=1.5)
    with pytest.raises(ImageError, match='cannot read nowhere.jpg'):
        LoadRandomResizedCrop(224)(dict(img_path='nowhere.jpg'))


@pytest.mark.parametrize(('edge', 'crop'), [(64, 56), (51, 51), (300, 32)])
def test_centers_of_the_stock_pipeline(
    mmpretrain_scope, tmp_path: Path, edge: int, crop: int
) -> None:
    """As for random crops: 50 dB in the median, 40 dB at worst."""
    scale = dict(scale=edge, edge='short', backend='pillow', interpolation='bicubic')
    steps = pipeline(
        dict(type='LoadImageFromFile'),
        dict(type='ResizeEdge', **scale),
        dict(type='CenterCrop', crop_size=crop),
    )
    ours = TRANSFORMS.build(dict(type='symmim_mm.LoadCenterCrop', edge=edge, crop=crop))
    found = []
    for path in folder_of_jpegs(tmp_path, 10):
        expected, got = steps(dict(img_path=path)), ours(dict(img_path=path))
        assert got['img'].dtype == torch.uint8 and got['img'].is_contiguous()
        assert got['img_shape'] == expected['img_shape'] == (crop, crop)
        assert got['ori_shape'] == expected['ori_shape']
        found.append(psnr(got['img'].numpy(), expected['img'].transpose(2, 0, 1)))
    assert np.median(found) >= 50 and min(found) >= 40


@pytest.mark.parametrize('crop', [0, 65])
def test_crops_that_the_edge_cannot_hold(crop: int) -> None:
    with pytest.raises(UserError, match=rf'between 1 and edge \(64\), got {crop}'):
        LoadCenterCrop(64, crop)


def test_crops_of_other_channels(mmpretrain_scope, tmp_path: Path) -> None:
    """They have all channels in the order of the file, as floats within the range of the pixels."""
    pixels = np.random.default_rng(0).integers(0, 65536, (50, 70, 5), np.uint16)
    path = str(tmp_path / 'a.tif')
    tifffile.imwrite(path, pixels, photometric='minisblack', planarconfig='contig')
    whole = pixels.astype(np.float32) / 257
    step = LoadRandomResizedCrop(**CROP)
    np.random.seed(0)
    expected = step.rand_crop_params(np.empty((50, 70)))
    np.random.seed(0)
    crop = pipeline(dict(OURS, channels=5), PACK)(dict(img_path=path))['inputs']
    top, left, height, width = expected
    part = torch.from_numpy(whole[top : top + height, left : left + width]).permute(2, 0, 1)
    plain = torch.nn.functional.interpolate(part[None], (64, 64), mode='bicubic', antialias=True)
    assert plain.max() > 255  # overshoots
    torch.testing.assert_close(crop, plain[0].clamp(0, 255), rtol=0, atol=1e-3)
    center = dict(type='symmim_mm.LoadCenterCrop', edge=50, crop=40, channels=5)
    found = pipeline(center, PACK)(dict(img_path=path))['inputs']
    np.testing.assert_allclose(found, whole[5:45, 15:55].transpose(2, 0, 1), atol=1e-3)
    # An inferencer gives the pixels themselves.
    assert torch.equal(found, pipeline(center, PACK)(dict(img=whole))['inputs'])
    with pytest.raises(ImageError, match='a.tif has 5 channels, and 2 are read'):
        pipeline(dict(center, channels=2))(dict(img_path=path))
