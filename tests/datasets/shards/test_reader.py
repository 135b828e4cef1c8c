"""Prepared sets are read back as what they are: names, classes, images, damage."""

import gc
import hashlib
import json
import os
import pickle
import tarfile
from pathlib import Path

import cv2
import numpy as np
from encoded_images import decoded, psnr
from mmengine.dataset import default_collate
from PIL import Image
from shard_samples import COUNT
from torch.utils.data import DataLoader

from symmim_mm.datasets.image_folder import ImageFolder
from symmim_mm.datasets.image_table import ImageTable
from symmim_mm.datasets.shards.prepare import prepare
from symmim_mm.datasets.shards.reader import ImageShards, verify
from symmim_mm.datasets.transforms.crops import LoadRandomResizedCrop
from symmim_mm.datasets.transforms.jpeg_header import read_jpeg_header


def test_every_image_once_with_its_class(source: Path, shards: Path) -> None:
    folder, found = ImageFolder(data_root=str(source)), ImageFolder(data_root=str(shards))
    assert len(found) == COUNT and found.metainfo == folder.metainfo
    assert found.metainfo['classes'] == ('a', 'b', 'c')

    def by_name(dataset: ImageFolder) -> dict:
        infos = [dataset.get_data_info(index) for index in range(COUNT)]
        return {Path(info['img_path']).stem: info['gt_label'] for info in infos}

    assert by_name(found) == by_name(folder)
    order = [Path(found.get_data_info(i)['img_path']).stem for i in range(COUNT)]
    assert order != sorted(order)  # dealt at random
    assert found.shard_sizes.tolist() == [5, 5, 5, 4, 4] and folder.shard_sizes is None
    assert sorted(found.get_gt_labels()) == sorted(folder.get_gt_labels())


def test_a_share_of_the_labels_is_that_of_the_folder(tmp_path: Path) -> None:
    for number in range(20):
        suffix = 'jpg' if number % 3 else 'png'
        path = tmp_path / 'images' / 'ab'[number % 2] / f'{number}.{suffix}'
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((40, 40, 3), 10 * number, np.uint8))
    prepare(tmp_path / 'images', tmp_path / 'shards', short_side=32, shard_images=6)

    def chosen(root: Path) -> set[str]:
        data = ImageFolder(data_root=str(root), labels=0.5)
        return {Path(data.get_data_info(index)['img_path']).name for index in range(len(data))}

    assert len(chosen(tmp_path / 'shards')) == 10
    assert chosen(tmp_path / 'shards') == chosen(tmp_path / 'images')


def test_manifest(shards: Path) -> None:
    manifest = json.loads((shards / 'manifest.json').read_text())
    assert manifest['complete'] and manifest['images'] == COUNT and manifest['skipped'] == []
    assert manifest['options'] == dict(short_side=48, quality=90, shard_images=5, seed=0)
    for shard in manifest['shards']:
        data = (shards / shard['name']).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard['bytes'], shard['sha256'])
    found = verify(shards)
    assert (len(found.shards), found.images) == (5, COUNT)


def test_images_decode_in_parts(shards: Path) -> None:
    data = ImageShards(shards).read(0)
    header = read_jpeg_header(data)
    assert header.unit_height == 8 and header.one_scan
    assert header.restart == -(-header.width // 8)


def test_as_the_data_of_a_pre_training(shards: Path) -> None:
    steps = [
        dict(type='symmim_mm.LoadRandomResizedCrop', scale=32, flip_prob=0.5),
        dict(type='mmpretrain.PackInputs'),
    ]
    dataset = ImageFolder(data_root=str(shards), with_label=True, pipeline=steps)
    np.random.seed(0)
    batches = list(DataLoader(dataset, 8, collate_fn=default_collate))
    assert sum(len(batch['inputs']) for batch in batches) == COUNT
    labels = [int(sample.gt_label) for batch in batches for sample in batch['data_samples']]
    assert labels == dataset.get_gt_labels().tolist()
    path = dataset.get_data_info(3)['img_path']
    assert str(batches[0]['data_samples'][3].img_path) == path and 'shard-00000.tar/' in path


def test_images_of_a_subset(shards: Path) -> None:
    dataset = ImageFolder(
        data_root=str(shards), pipeline=[LoadRandomResizedCrop(16, (1, 1), (1, 1))]
    )
    part = dataset.get_subset([7, 3])
    np.random.seed(0)
    expected = dataset[3]['img']
    np.random.seed(0)
    assert (part[1]['img'] == expected).all() and part.shard_sizes is None


def test_reads_in_workers(shards: Path) -> None:
    found = ImageShards(shards)
    expected = [found.read(index) for index in range(COUNT)]  # files are open before the fork
    loader = DataLoader(range(COUNT), None, num_workers=2, collate_fn=found.read)
    assert list(loader) == expected
    data = pickle.dumps(found)  # as a spawned worker gets it
    assert len(data) < 300 and pickle.loads(data).read(3) == expected[3]


def test_few_files_stay_open(shards: Path, monkeypatch) -> None:
    monkeypatch.setattr('symmim_mm.datasets.shards.reader.OPEN_FILES', 2)
    found = ImageShards(shards)
    before = open_below(shards)
    for index in [*range(COUNT), 0, COUNT - 1, 0]:
        found.read(index)
    assert open_below(shards) == before + 2
    del found
    assert open_below(shards) == 0


def open_below(folder: Path) -> int:
    gc.collect()  # sets that other tests have left
    links = [Path('/proc/self/fd', name) for name in os.listdir('/proc/self/fd')]
    return sum(str(folder) in os.readlink(link) for link in links if link.is_symlink())


def test_shards_are_plain_tar_files(shards: Path, source: Path) -> None:
    names = []
    for path in shards.glob('*.tar'):
        with tarfile.open(path) as tar:
            for entry in tar:
                assert min(decoded(tar.extractfile(entry).read()).shape[:2]) == 48
                names.append(entry.name)
    sources = [str(path.relative_to(source)) for path in source.rglob('*.*')]
    assert sorted(names) == sorted(name.replace('.png', '.png.jpg') for name in sources)


def test_images_are_resized_once_and_well(source: Path, shards: Path) -> None:
    found = ImageShards(shards)
    for index in range(COUNT):
        whole = decoded((source / ImageTable.path(found, index)).read_bytes())
        height, width = whole.shape[:2]
        scale = 48 / min(height, width)
        image = Image.fromarray(whole).resize(
            (round(width * scale), round(height * scale)), Image.LANCZOS
        )
        got = decoded(found.read(index))
        assert got.shape == (*image.size[::-1], 3) and psnr(got, np.asarray(image)) > 33
