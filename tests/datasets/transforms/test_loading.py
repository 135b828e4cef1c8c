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
from torch.utils.data import DataLoader, Dataset

from symmim_mm.datasets.image_folder import ImageFolder
from symmim_mm.datasets.shards.prepare import prepare
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.datasets.transforms.loading import LoadImageStrict, LoadLabelMap
from symmim_mm.engine.runner.resumable_loader import ResumableLoader

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


def test_broken_images_of_shards_are_skipped(mmpretrain_scope, tmp_path: Path) -> None:
    root = tmp_path / 'images'
    root.mkdir()
    for index in range(12):
        (root / f'{index:02d}.jpg').write_bytes(encode(make_image(40, 30, index)))
    prepare(root, tmp_path / 'set', short_side=32, shard_images=6)
    dataset = ImageFolder(
        data_root=str(tmp_path / 'set'), with_label=False,
        pipeline=[
            dict(type='symmim_mm.LoadRandomResizedCrop', scale=16),
            dict(type='mmpretrain.PackInputs'),
        ],
    )  # fmt: skip
    name = dataset.get_data_info(5)['img_path']
    start, size = (int(dataset.index.columns[key][5]) for key in ('start', 'size'))
    with open(Path(name).parent, 'r+b') as shard:
        shard.seek(start)
        shard.write(bytes(size))
    inner = DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=default_collate)
    loader = ResumableLoader(inner, seed=0)
    loader.skip_unreadable()
    found = []
    for batch in loader:
        assert batch['inputs'].shape == (4, 3, 16, 16)
        found += loader.skipped
    assert [item.name for item in found][:1] == [name]
    assert all('not an image that can be decoded' in item.reason for item in found)
    with pytest.raises(ImageError, match='not an image'):
        dataset[5]


class Files(Dataset):
    """Images by their paths."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return LoadImageStrict()(dict(img_path=str(self.paths[index])))['img']


def test_the_line_comes_through_a_loader_worker(tmp_path: Path) -> None:
    path = tmp_path / 'half of 名前.jpg'
    path.write_bytes(SAMPLES['half a JPEG'][1])
    with pytest.raises(ImageError) as error:
        list(DataLoader(Files([path]), num_workers=1))
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


@pytest.mark.parametrize('kind', [np.int32, np.uint16, np.uint8])
def test_a_wider_file_is_read_as_one_of_bytes(results: dict, kind: type) -> None:
    tiff(kind, 3)(Path(results['seg_map_path']))
    assert LoadLabelMap()(results)['gt_seg_map'][1, 2] == 2
