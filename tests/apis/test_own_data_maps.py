"""Folders of label maps as people have them: which classes, pairs and values are taken."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from own_data import MAP_SIDE, map_folders, stripes, write
from PIL import Image
from tiny_models import TINY, save_backbone, vit

from symmim_mm.apis.own_data.map_folder import open_maps
from symmim_mm.apis.own_data.segment import segment
from symmim_mm.utils.errors import UserError


def held_out(root: Path, count: int, share: float) -> list[int]:
    """Return which of a number of images are held out where all have the same classes."""
    data = open_maps(*map_folders(root, [stripes(0, 1)] * count), root / 'all.txt')
    return data.split((0.0, 1 - share), (1 - share, 1.0))[1]


def test_label_maps_are_looked_at(tmp_path: Path, config_of: Callable[..., Config]) -> None:
    data = map_folders(tmp_path, [stripes(0, 1 + number % 2, 255) for number in range(10)])
    for path in list(data[1].iterdir()):
        path.rename(path.with_name(f'{path.stem}_mask.png'))
    (data[1] / '0_mask.png').unlink()
    lines: list[str] = []
    cfg = config_of(segment, *data, report=lines.append)
    dataset = cfg.train_dataloader.dataset
    assert dataset.metainfo.classes == ('class 0', 'class 1', 'class 2')
    assert (dataset.img_suffix, dataset.seg_map_suffix) == ('.png', '_mask.png')
    assert any('1 images have no label map' in line for line in lines)
    lists = [
        set(Path(cfg[f'{part}_dataloader'].dataset.ann_file).read_text().split())
        for part in ('train', 'val')
    ]
    assert list(map(len, lists)) == [7, 2] and set.union(*lists) == set('123456789')


def test_as_many_layers_are_read_as_the_head_takes(
    tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    file = save_backbone(tmp_path / 'few.pth', vit(arch=dict(TINY, num_layers=4)))
    data = map_folders(tmp_path, [stripes(0, 1)] * 5)
    cfg = config_of(segment, *data, backbone=file, heads=4)
    assert cfg.model.backbone.out_indices == (0, 1, 2, 3)
    cfg = config_of(segment, *data, out=tmp_path / 'twelve')
    assert cfg.model.backbone.out_indices == (3, 5, 7, 11)


@pytest.mark.parametrize(
    ('values', 'classes', 'labels'),
    [
        ((0, 255), ('background', 'object'), (0, 1)),
        ((0, 1), ('background', 'object'), (0, 1)),
        ((1, 7, 255), ('class 1', 'class 7'), (0, 1, 255)),
    ],
)
def test_any_values_of_label_maps(
    values: tuple[int, ...],
    classes: tuple[str, ...],
    labels: tuple[int, ...],
    tmp_path: Path,
    config_of: Callable[..., Config],
) -> None:
    cfg = config_of(segment, *map_folders(tmp_path, [stripes(*values)] * 5))
    init_default_scope('mmseg')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert dataset.metainfo['classes'] == classes and cfg.model.decode_head.num_classes == 2
    found = dataset[0]['data_samples'].gt_sem_seg.data[0].numpy()
    assert (found == stripes(*labels)).all()


@pytest.mark.parametrize('rare', [3, 9])
def test_a_class_of_held_out_maps_alone_is_trained_on(
    rare: int, tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    """It would be scored as the class of another value, or have no number in the model."""
    maps = [stripes(0, 1, 5)] * 10
    first = held_out(tmp_path / 'same', 10, 0.3)[0]
    maps[first] = stripes(0, 1, 5, rare)
    lines: list[str] = []
    cfg = config_of(segment, *map_folders(tmp_path, maps), val=0.3, report=lines.append)
    values = sorted([0, 1, 5, rare])
    parts = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    assert [tuple(part['values']) for part in parts] == [tuple(values)] * 2
    names = [Path(part.ann_file).read_text().split() for part in parts]
    assert str(first) in names[0] and [len(part) for part in names] == [8, 2]
    assert cfg.model.decode_head.num_classes == 4
    assert not any('no image to train on' in line for line in lines)


def test_a_class_without_a_training_map_keeps_its_number(
    tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    """The only held-out image stays; its class is named and measured as what it is."""
    maps = [stripes(0, 1, 5)] * 5
    (only,) = held_out(tmp_path / 'same', 5, 0.2)
    maps[only] = stripes(0, 3, 5, 255)
    lines: list[str] = []
    data = map_folders(tmp_path, maps)
    cfg = config_of(segment, *data, report=lines.append)
    assert sum('no image to train on has class 3:' in line for line in lines) == 1
    init_default_scope('mmseg')
    found = DATASETS.build(cfg.val_dataloader.dataset)[0]['data_samples'].gt_sem_seg.data[0]
    table = {0: 0, 3: 2, 5: 3, 255: 255}
    assert (found.numpy() == np.vectorize(table.get)(maps[only])).all()


def test_validation_maps_are_read_as_training_maps(
    tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    """255 is ignored next to 0 alone, too, where the training maps have more classes."""
    data = map_folders(tmp_path / 'train', [stripes(0, 1, 255)] * 4)
    val = map_folders(tmp_path / 'val', [stripes(0, 255)] * 2)
    cfg = config_of(segment, *data, val=list(val))
    assert cfg.val_dataloader.dataset['values'] == [0, 1]
    assert cfg.val_dataloader.dataset.data_prefix.img_path == str(val[0])
    val = map_folders(tmp_path / 'other', [stripes(0, 2, 255)] * 2)
    with pytest.raises(UserError, match='has the values 2, which'):
        segment(*data, val=val, epochs=1, out=tmp_path / 'refused')


@pytest.mark.parametrize(('count', 'share'), [(2, 0.2), (4, 0.1)])
def test_too_few_images_to_hold_out(count: int, share: float, tmp_path: Path) -> None:
    data = map_folders(tmp_path, [stripes(0, 1)] * count)
    with pytest.raises(UserError, match=f'has {count} label maps.*too few to hold out {share:.0%}'):
        segment(*data, val=share, epochs=1, out=tmp_path / 'out')


def test_label_maps_are_as_large_as_their_images(tmp_path: Path) -> None:
    data = map_folders(tmp_path, [stripes(0, 1)] * 3)
    write(data[1] / '1.png', stripes(0, 1)[:30])
    message = 'images/1.png has 40 x 40 pixels.*masks/1.png 40 x 30: save them alike'
    with pytest.raises(UserError, match=message):
        open_maps(*data, tmp_path / 'all.txt')


@pytest.mark.parametrize(
    ('name', 'message'),
    [(b'caf\xe9', 'is not UTF-8 in one line'), (b'a\nb', 'in one line'), (b'1 ', 'has spaces ar')],
)
def test_names_that_no_list_can_hold(name: bytes, message: str, tmp_path: Path) -> None:
    data = map_folders(tmp_path, [stripes(0, 1)] * 2)
    for folder in data:
        (folder / '1.png').rename(os.fsdecode(os.fsencode(folder) + b'/' + name + b'.png'))
    with pytest.raises(UserError, match=message) as caught:
        open_maps(*data, tmp_path / 'all.txt')
    assert str(caught.value).isprintable()


@pytest.mark.parametrize('upright', [True, False])
def test_images_are_compared_as_they_are_turned(upright: bool, tmp_path: Path) -> None:
    """Images are turned upright by their EXIF orientation, label maps are not."""
    exif = Image.Exif()
    exif[0x112] = 6  # stored on its side
    (tmp_path / 'images').mkdir()
    for number in range(2):
        Image.new('RGB', (MAP_SIDE, 30)).save(tmp_path / f'images/{number}.jpg', exif=exif)
        label = stripes(0, 1)[:, :30]
        write(tmp_path / f'masks/{number}.png', label if upright else label.T)
    data = tmp_path / 'images', tmp_path / 'masks', tmp_path / 'all.txt'
    if upright:
        assert open_maps(*data).values == [0, 1]
    else:
        with pytest.raises(UserError, match='has 30 x 40 pixels, upright.*0.png 40 x 30'):
            open_maps(*data)


def test_two_kinds_of_label_maps(tmp_path: Path) -> None:
    """The order of a set would choose one; what most images have is taken."""
    data = map_folders(tmp_path, [stripes(0, 1)] * 4)
    for path in list(data[1].iterdir()):
        write(path.with_name(f'{path.stem}_instanceIds.png'), stripes(0, 7, 9))
        path.rename(path.with_name(f'{path.stem}_labelIds.png'))
    with pytest.raises(UserError, match='which end in _instanceIds.png, _labelIds.png: keep'):
        open_maps(*data, tmp_path / 'all.txt')
    (data[1] / '1_instanceIds.png').unlink()
    assert open_maps(*data, tmp_path / 'all.txt').suffix == '_labelIds.png'


def test_names_that_begin_alike(tmp_path: Path) -> None:
    data = map_folders(tmp_path, [stripes(0, 1)] * 12)
    assert open_maps(*data, tmp_path / 'all.txt').suffix == '.png'
    for path in list(data[1].iterdir()):
        path.rename(path.with_name(f'{int(path.stem) + 100}.png'))  # 1 and 10 both have two
    with pytest.raises(UserError, match='of the 12 images of .* have a label map'):
        open_maps(*data, tmp_path / 'all.txt')


def test_fewer_images_than_label_maps(tmp_path: Path) -> None:
    """Of images 1 to 4 and maps 0 to 49, 0.png would fit as well: 10, 20, ..."""
    images, masks = map_folders(tmp_path, [stripes(0, 1)] * 50)
    for path in images.iterdir():
        if not 1 <= int(path.stem) <= 4:
            path.unlink()
    found = open_maps(images, masks, tmp_path / 'all.txt')
    assert found.suffix == '.png' and len(found.files) == 4


def test_the_ending_of_label_maps_is_reported(
    tmp_path: Path, config_of: Callable[..., Config]
) -> None:
    for ending in ('.png', '_mask.png'):
        data = map_folders(tmp_path / ending, [stripes(0, 1)] * 5)
        for path in list(data[1].iterdir()):
            path.rename(path.with_name(path.stem + ending))
        lines: list[str] = []
        config_of(segment, *data, out=tmp_path / ending / 'out', report=lines.append)
        assert any('followed by' in line for line in lines) == (ending == '_mask.png')
    assert 'label maps are called as their images, followed by _mask.png' in lines


@pytest.mark.parametrize('linked', [True, False])
def test_images_are_not_their_own_label_maps(linked: bool, tmp_path: Path) -> None:
    _, masks = map_folders(tmp_path, [stripes(0, 1)] * 4)
    images = tmp_path / 'link' if linked else masks
    if linked:
        images.symlink_to(masks)
    with pytest.raises(UserError, match='share files, e.g. 0.png, which would be its own'):
        open_maps(images, masks, tmp_path / 'all.txt')
