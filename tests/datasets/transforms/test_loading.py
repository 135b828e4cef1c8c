"""Images and label maps load as in the stock pipelines; what is broken is refused by name."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from image_samples import damaged_animation, encode, make_image, png_of_size, samples
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import Compose, default_collate
from mmengine.registry import init_default_scope
from mmpretrain.registry import TRANSFORMS
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image
from torch.utils.data import DataLoader

from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.datasets.transforms.loading import LoadImageStrict, LoadLabelMap

# OpenCV alone dies of the animation.
SAMPLES = samples() | {'animation': ('a.png', damaged_animation(), {'cut-off'})}
BROKEN = {'empty', 'not-an-image', 'cut-off', 'channels', 'enormous'}
GOOD = [name for name, (_, _, kinds) in SAMPLES.items() if not kinds & BROKEN]
BAD = [name for name in SAMPLES if name not in GOOD]
NAMES = ['with spaces.jpg', '名前 фото.jpg', "it's 100%.jpg", 'no_extension', '-x.jpg', 'é.JPEG']


@pytest.mark.parametrize('name', GOOD)
def test_pixels_of_the_stock_step(tmp_path: Path, name: str) -> None:
    file, data, _ = SAMPLES[name]
    (tmp_path / file).write_bytes(data)
    source = dict(img_path=str(tmp_path / file))
    found, expected = LoadImageStrict()(dict(source)), LoadImageFromFile()(dict(source))
    assert found.keys() == expected.keys()
    assert np.array_equal(found['img'], expected['img'])
    assert found['img'].dtype == np.uint8 and found['img'].flags.writeable
    for key in ('img_shape', 'ori_shape'):
        assert found[key] == expected[key] == found['img'].shape[:2]
    again = LoadImageStrict()(dict(source, img_bytes=data))
    assert again.keys() == found.keys() and np.array_equal(again['img'], found['img'])


@pytest.mark.parametrize('name', BAD)
@pytest.mark.parametrize('step', ['LoadImageStrict', 'LoadRandomResizedCrop'])
def test_what_is_broken_is_named(tmp_path: Path, name: str, step: str) -> None:
    file, data, _ = SAMPLES[name]
    (tmp_path / file).write_bytes(data)
    options = dict(scale=16) if step == 'LoadRandomResizedCrop' else {}
    load = TRANSFORMS.build(dict(type=f'symmim_mm.{step}', **options))
    with pytest.raises(ImageError) as error:
        load(dict(img_path=str(tmp_path / file)))
    message = str(error.value)
    assert str(tmp_path / file) in message and '\n' not in message


PIPELINES = {
    'fast pretrain': [
        dict(type='symmim_mm.LoadRandomResizedCrop', scale=32, flip_prob=0.5),
        dict(type='mmpretrain.PackInputs'),
    ],
    'finetune': [
        dict(type='symmim_mm.LoadImageStrict'),
        dict(type='mmpretrain.RandomResizedCrop', scale=32, backend='pillow'),
        dict(type='mmpretrain.RandAugment', policies='timm_increasing', num_policies=2,
             total_level=10, magnitude_level=9),
        dict(type='mmpretrain.RandomErasing', erase_prob=1.0, mode='rand'),
        dict(type='mmpretrain.PackInputs'),
    ],
    'detection': [
        dict(type='symmim_mm.LoadImageStrict'),
        dict(type='mmcv.Resize', scale=(32, 32), keep_ratio=False),
        dict(type='mmcv.RandomFlip', prob=0.5),
        dict(type='mmpretrain.PackInputs'),
    ],
}  # fmt: skip


@pytest.mark.parametrize('kind', PIPELINES)
def test_images_of_every_kind_make_one_batch(mmpretrain_scope, tmp_path: Path, kind: str) -> None:
    """Gray or deep, of one pixel, misnamed, and of any name: three channels of 32 x 32 pixels."""
    steps = Compose([TRANSFORMS.build(step) for step in PIPELINES[kind]])
    paths = []
    for index, name in enumerate(GOOD):
        paths.append(tmp_path / str(index) / SAMPLES[name][0])
        paths[-1].parent.mkdir()
        paths[-1].write_bytes(SAMPLES[name][1])
    for name in NAMES:
        paths.append(tmp_path / name)
        paths[-1].write_bytes(encode(make_image()))
    batch = default_collate([steps(dict(img_path=str(path), sample_idx=0)) for path in paths])
    assert batch['inputs'].shape == (len(paths), 3, 32, 32)


def load_first(batch: list[dict]) -> np.ndarray:
    return LoadImageStrict()(batch[0])['img']


def test_the_line_comes_through_a_loader_worker(tmp_path: Path) -> None:
    path = tmp_path / 'half of 名前.jpg'
    path.write_bytes(SAMPLES['half a JPEG'][1])
    with pytest.raises(ImageError) as error:
        list(DataLoader([dict(img_path=str(path))], num_workers=1, collate_fn=load_first))
    assert str(error.value) == f'{path} ends too early: copy or fetch it again, or remove it'


@pytest.fixture
def results(tmp_path: Path) -> dict:
    init_default_scope('mmseg')
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    values[2, 3] = 255
    cv2.imwrite(str(tmp_path / 'map.png'), values)
    return dict(
        seg_map_path=str(tmp_path / 'map.png'), ori_shape=(3, 4), seg_fields=[],
        reduce_zero_label=True,
    )  # fmt: skip


@pytest.mark.parametrize('reduce', [True, False])
@pytest.mark.parametrize('mapping', [None, {3: 4, 4: 3, 0: 255}])
def test_labels_of_the_stock_step(results: dict, reduce: bool, mapping: dict | None) -> None:
    results |= dict(reduce_zero_label=reduce, label_map=mapping)
    found = LoadLabelMap()(dict(results, seg_fields=[]))
    expected = LoadAnnotations()(dict(results, seg_fields=[]))
    assert found.keys() == expected.keys() and found['seg_fields'] == ['gt_seg_map']
    assert np.array_equal(found['gt_seg_map'], expected['gt_seg_map'])
    assert found['gt_seg_map'].dtype == np.uint8 and found['gt_seg_map'].flags.writeable


def test_labels_of_no_class(results: dict) -> None:
    found = LoadLabelMap(classes=10)(dict(results, seg_fields=[]))
    assert found['gt_seg_map'].max() == 255 and found['gt_seg_map'].min() == 0
    words = r'map.png has 2 pixels of none of the 8 classes, with values up to 10: fix it'
    with pytest.raises(ImageError, match=words):
        LoadLabelMap(classes=8)(results)


def tiff(kind: type, value: float) -> Callable[[Path], None]:
    values = np.zeros((3, 4), kind)
    values[1, 2] = value
    return lambda path: Image.fromarray(values).save(path, 'TIFF')


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda path: path.write_bytes(b''), 'not a label map'),
        (lambda path: path.write_bytes(b'no image' * 20), 'not a label map'),
        (lambda path: os.truncate(path, 50), 'not a label map'),
        (lambda path: path.write_bytes(png_of_size(60_000, 60_000)), 'not a label map .* bomb'),
        (lambda path: Image.new('RGB', (4, 3)).save(path), 'not a label map .*3 channels'),
        (lambda path: Image.new('RGBA', (3, 1)).save(path), 'not a label map .*4 channels'),
        (lambda path: Image.new('L', (3, 4)).save(path),
         r'has \(4, 3\) rows and columns, its image \(3, 4\)'),
        (Path.unlink, 'cannot read'),
        (pipe, 'map.png: not a regular file'),
        (tiff(np.float32, 3), 'floating-point numbers'),
        (tiff(np.float32, np.nan), 'floating-point numbers'),
        (tiff(np.int32, -1), 'holds numbers from -1 to 0, label maps have 0 to 255'),
        (tiff(np.uint16, 259), 'holds numbers from 0 to 259'),
    ],
)  # fmt: skip
def test_label_maps_that_do_not_fit(results: dict, damage: Callable, words: str) -> None:
    path = Path(results['seg_map_path'])
    damage(path)
    with pytest.raises(ImageError, match=words) as error:
        LoadLabelMap()(results)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_a_map_of_one_row(results: dict) -> None:
    Image.new('L', (4, 1), 2).save(results['seg_map_path'])
    assert LoadLabelMap()(results | dict(ori_shape=(1, 4)))['gt_seg_map'].tolist() == [[1] * 4]


@pytest.mark.parametrize('kind', [np.int32, np.uint16, np.uint8])
def test_a_wider_file_is_read_as_one_of_bytes(results: dict, kind: type) -> None:
    tiff(kind, 3)(Path(results['seg_map_path']))
    assert LoadLabelMap()(results)['gt_seg_map'][1, 2] == 2
