"""Prepared sets are read back as what they are: names, classes, pictures, damage."""

import gc
import hashlib
import json
import os
import pickle
import tarfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from encoded_pictures import decoded, drawn, jpeg, pillow, psnr, turned
from mmengine.dataset import default_collate
from PIL import Image
from prepared_samples import COUNT, OPTIONS, digest, write_source
from torch.utils.data import DataLoader

from symmim_mm.datasets.image_folder import IndexedFolder
from symmim_mm.datasets.shards.image import prepare_picture
from symmim_mm.datasets.shards.prepare import prepare
from symmim_mm.datasets.shards.reader import PreparedSet, verify
from symmim_mm.datasets.transforms.decode_region import PictureError
from symmim_mm.datasets.transforms.jpeg_header import read_jpeg_header
from symmim_mm.datasets.transforms.load_random_resized_crop import LoadRandomResizedCrop
from symmim_mm.utils.errors import UserError


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp('pictures'))


@pytest.fixture(scope='module')
def prepared(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('prepared') / 'set'
    prepare(source, out, **OPTIONS)
    return out


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def test_every_picture_once_with_its_class(source: Path, prepared: Path) -> None:
    folder, found = IndexedFolder(data_root=str(source)), IndexedFolder(data_root=str(prepared))
    assert len(found) == COUNT and found.metainfo == folder.metainfo
    assert found.metainfo['classes'] == ('a', 'b', 'c')

    def by_name(dataset: IndexedFolder) -> dict:
        infos = [dataset.get_data_info(index) for index in range(COUNT)]
        return {Path(info['img_path']).stem: info['gt_label'] for info in infos}

    assert by_name(found) == by_name(folder)
    order = [Path(found.get_data_info(i)['img_path']).stem for i in range(COUNT)]
    assert order != sorted(order)  # dealt at random
    assert found.shard_sizes.tolist() == [5, 5, 5, 4, 4] and folder.shard_sizes is None
    assert sorted(found.get_gt_labels()) == sorted(folder.get_gt_labels())


def test_manifest(prepared: Path) -> None:
    manifest = json.loads((prepared / 'manifest.json').read_text())
    assert manifest['complete'] and manifest['pictures'] == COUNT and manifest['skipped'] == []
    assert manifest['options'] == dict(short_side=48, quality=90, shard_pictures=5, seed=0)
    for shard in manifest['shards']:
        data = (prepared / shard['name']).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard['bytes'], shard['sha256'])
    found = verify(prepared)
    assert (len(found.shards), found.pictures) == (5, COUNT)


def test_prepared_pictures_decode_in_parts(prepared: Path) -> None:
    data = PreparedSet(prepared).read(0)
    header = read_jpeg_header(data)
    assert header.unit_height == 8 and header.one_scan
    assert header.restart == -(-header.width // 8)


@pytest.mark.parametrize('workers', [0, 2])
def test_as_the_data_of_a_pre_training(prepared: Path, workers: int) -> None:
    steps = [
        dict(type='symmim_mm.LoadRandomResizedCrop', scale=32, flip_prob=0.5),
        dict(type='mmpretrain.PackInputs'),
    ]
    dataset = IndexedFolder(data_root=str(prepared), with_label=True, pipeline=steps)
    np.random.seed(0)
    loader = DataLoader(dataset, 8, num_workers=workers, collate_fn=default_collate)
    batches = list(loader)
    assert sum(len(batch['inputs']) for batch in batches) == COUNT
    labels = [int(sample.gt_label) for batch in batches for sample in batch['data_samples']]
    assert labels == dataset.get_gt_labels().tolist()
    place = dataset.get_data_info(3)['img_path']
    assert str(batches[0]['data_samples'][3].img_path) == place and 'shard-00000.tar/' in place


def test_pictures_of_a_subset(prepared: Path) -> None:
    dataset = IndexedFolder(
        data_root=str(prepared), pipeline=[LoadRandomResizedCrop(16, (1, 1), (1, 1))]
    )
    part = dataset.get_subset([7, 3])
    np.random.seed(0)
    expected = dataset[3]['img']
    np.random.seed(0)
    assert (part[1]['img'] == expected).all() and part.shard_sizes is None


def test_changed_bytes(source: Path, tmp_path: Path) -> None:
    out = tmp_path / 'set'
    prepare(source, out, **OPTIONS)
    found = PreparedSet(out)
    shard = out / 'shard-00000.tar'
    data = bytearray(shard.read_bytes())
    start = int(found.start[0])
    data[start : start + 2] = b'xx'
    shard.write_bytes(data)
    with pytest.raises(UserError, match='shard-00000.tar is damaged'):
        verify(out)
    dataset = IndexedFolder(data_root=str(out), pipeline=[LoadRandomResizedCrop(16)])
    with pytest.raises(PictureError, match='shard-00000.tar/.* is not a picture that can be'):
        dataset[0]
    os.truncate(shard, start + 5)
    with pytest.raises(PictureError, match='ends too early'):
        found.read(0)


@pytest.mark.parametrize('context', ['fork', pytest.param('spawn', marks=pytest.mark.slow)])
def test_reads_in_workers(prepared: Path, context: str) -> None:
    found = PreparedSet(prepared)
    expected = [found.read(index) for index in range(COUNT)]  # files are open before the fork
    assert len(pickle.dumps(found)) < 300
    loader = DataLoader(
        _Bytes(found), 4, num_workers=2, collate_fn=list,
        multiprocessing_context=get_context(context),
    )  # fmt: skip
    assert sum(loader, []) == expected


class _Bytes:
    def __init__(self, found: PreparedSet) -> None:
        self.found = found

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: int) -> bytes:
        return self.found.read(index)


@pytest.mark.parametrize(
    'text', ['{"prepared_pictures": 1, "complete": true}', '{"prepared_pictures": 1, "complete": '
             'true, "classes": null, "shards": [{"name": "x"}]}', '[' * 100_000]
)  # fmt: skip
def test_damaged_manifests(tmp_path: Path, text: str) -> None:
    (tmp_path / 'manifest.json').write_text(text)
    with pytest.raises(UserError, match='manifest.json is damaged|holds no prepared pictures'):
        PreparedSet(tmp_path)


def test_few_files_stay_open(prepared: Path, monkeypatch) -> None:
    monkeypatch.setattr('symmim_mm.datasets.shards.reader.OPEN_FILES', 2)
    found = PreparedSet(prepared)
    before = open_below(prepared)
    for index in [*range(COUNT), 0, COUNT - 1, 0]:
        found.read(index)
    assert open_below(prepared) == before + 2
    del found
    assert open_below(prepared) == 0


def open_below(folder: Path) -> int:
    gc.collect()  # sets that other tests have left
    links = [Path('/proc/self/fd', name) for name in os.listdir('/proc/self/fd')]
    return sum(str(folder) in os.readlink(link) for link in links if link.is_symlink())


@pytest.mark.parametrize('damage', ['missing', 'cut'])
def test_lost_shards(source: Path, prepared: Path, tmp_path: Path, damage: str) -> None:
    out = tmp_path / 'set'
    prepare(source, out, **OPTIONS)
    shard = out / 'shard-00003.tar'
    if damage == 'missing':
        shard.unlink()
    else:
        os.truncate(shard, 512)
    with pytest.raises(UserError, match='shard-00003.tar (is missing|has 512 bytes instead of)'):
        PreparedSet(out)
    prepare(source, out, **OPTIONS)
    assert digest(out) == digest(prepared)


def test_shards_are_plain_tar_files(prepared: Path, source: Path) -> None:
    names = []
    for path in sorted(prepared.glob('*.tar')):
        with tarfile.open(path) as tar:
            for entry in tar:
                picture = decoded(tar.extractfile(entry).read())
                assert min(picture.shape[:2]) == 48
                names.append(os.path.splitext(entry.name)[0])
                assert entry.name.lower().endswith(('.jpg', '.jpeg'))
    expected = [
        os.path.splitext(os.path.relpath(path, source))[0]
        for path in source.rglob('*')
        if path.is_file()
    ]
    assert sorted(names) == sorted(expected)


def test_pictures_are_resized_once_and_well(source: Path, prepared: Path) -> None:
    found = PreparedSet(prepared)
    for index in range(COUNT):
        stem = os.path.splitext(found.path(index).split('/', 1)[1])[0]
        whole = decoded(next(source.glob(f'{stem}.*')).read_bytes())
        height, width = whole.shape[:2]
        scale = 48 / min(height, width)
        image = Image.fromarray(whole).resize(
            (round(width * scale), round(height * scale)), Image.LANCZOS
        )
        got = decoded(found.read(index))
        assert got.shape == (*image.size[::-1], 3) and psnr(got, np.asarray(image)) > 33


def test_small_upright_jpegs_are_kept_to_the_byte() -> None:
    small = jpeg(drawn(40, 50), '4:2:0')
    assert prepare_picture(small, 'a', 48, 95) == small
    for other in (pillow(drawn(40, 50), 'PNG'), turned(drawn(40, 50), 6)):
        kept = prepare_picture(other, 'a', 48, 95)
        assert kept != other and decoded(kept).shape == decoded(other).shape
        assert psnr(decoded(kept), decoded(other)) > 33
    assert decoded(prepare_picture(turned(drawn(100, 200), 6), 'a', 50, 90)).shape == (100, 50, 3)
