"""Every kind of picture loads as in the stock pipelines; what is broken is refused by name."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from check_samples import crashing_png, encode, picture, samples
from conftest import ROOT
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import Compose, default_collate
from mmengine.registry import init_default_scope
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from symmim_mm import draw
from symmim_mm.data.indexed_folder import IndexedFolder
from symmim_mm.data.load_class_map import LoadClassMap
from symmim_mm.data.load_picture import LoadPicture
from symmim_mm.data.picture_region import PictureError
from symmim_mm.data.prepare import prepare
from symmim_mm.engine.positioned_loader import PositionedLoader

SAMPLES = samples()
BROKEN = {'empty', 'not-a-picture', 'cut-off', 'enormous'}
GOOD = [name for name, (_, _, kinds) in SAMPLES.items() if not kinds & BROKEN]
BAD = [name for name in SAMPLES if name not in GOOD]
NAMES = ['with spaces.jpg', '名前 фото.jpg', "it's 100%.jpg", 'no_extension', '-x.jpg', 'é.JPEG']


@pytest.mark.parametrize('name', GOOD)
def test_pixels_of_the_stock_step(tmp_path: Path, name: str) -> None:
    file, data, _ = SAMPLES[name]
    (tmp_path / file).write_bytes(data)
    source = dict(img_path=str(tmp_path / file))
    found, expected = LoadPicture()(dict(source)), LoadImageFromFile()(dict(source))
    assert found.keys() == expected.keys()
    assert np.array_equal(found['img'], expected['img'])
    assert found['img'].dtype == np.uint8 and found['img'].flags.writeable
    for key in ('img_shape', 'ori_shape'):
        assert found[key] == expected[key] == found['img'].shape[:2]
    again = LoadPicture()(dict(source, img_bytes=data))
    assert again.keys() == found.keys() and np.array_equal(again['img'], found['img'])


@pytest.mark.parametrize('name', BAD)
@pytest.mark.parametrize('step', ['LoadPicture', 'LoadRandomResizedCrop'])
def test_what_is_broken_is_named(tmp_path: Path, name: str, step: str) -> None:
    file, data, _ = SAMPLES[name]
    (tmp_path / file).write_bytes(data)
    options = dict(scale=16) if step == 'LoadRandomResizedCrop' else {}
    load = TRANSFORMS.build(dict(type=f'symmim_mm.{step}', **options))
    with pytest.raises(PictureError) as error:
        load(dict(img_path=str(tmp_path / file)))
    message = str(error.value)
    assert str(tmp_path / file) in message and '\n' not in message


@pytest.mark.parametrize('name', [*BAD, 'rotated', 'one pixel', 'CMYK'])
def test_what_visualize_takes(tmp_path: Path, name: str) -> None:
    file, data, _ = SAMPLES[name]
    (tmp_path / file).write_bytes(data)
    if name in BAD:
        with pytest.raises(PictureError, match=re.escape(str(tmp_path / file))):
            draw._read(str(tmp_path / file), (32, 32))
    else:
        assert draw._read(str(tmp_path / file), (32, 32)).shape == (1, 3, 32, 32)


PIPELINES = {
    'pretrain': [
        dict(type='symmim_mm.LoadPicture'),
        dict(type='mmpretrain.RandomResizedCrop', scale=32, backend='pillow',
             interpolation='bicubic'),
        dict(type='mmpretrain.RandomFlip', prob=0.5),
        dict(type='mmpretrain.PackInputs'),
    ],
    'fast pretrain': [
        dict(type='symmim_mm.LoadRandomResizedCrop', scale=32, flip_prob=0.5),
        dict(type='mmpretrain.PackInputs'),
    ],
    'finetune': [
        dict(type='symmim_mm.LoadPicture'),
        dict(type='mmpretrain.RandomResizedCrop', scale=32, backend='pillow'),
        dict(type='mmpretrain.RandAugment', policies='timm_increasing', num_policies=2,
             total_level=10, magnitude_level=9),
        dict(type='mmpretrain.RandomErasing', erase_prob=1.0, mode='rand'),
        dict(type='mmpretrain.PackInputs'),
    ],
    'test': [
        dict(type='symmim_mm.LoadPicture'),
        dict(type='mmpretrain.ResizeEdge', scale=40, edge='short', backend='pillow'),
        dict(type='mmpretrain.CenterCrop', crop_size=32),
        dict(type='mmpretrain.PackInputs'),
    ],
    'detection': [
        dict(type='symmim_mm.LoadPicture'),
        dict(type='mmcv.Resize', scale=(32, 32), keep_ratio=False),
        dict(type='mmcv.RandomFlip', prob=0.5),
        dict(type='mmpretrain.PackInputs'),
    ],
}  # fmt: skip


@pytest.mark.parametrize('kind', PIPELINES)
def test_pictures_of_every_kind_make_one_batch(
    mmpretrain_scope, tmp_path: Path, kind: str
) -> None:
    """Grey or deep, of one pixel, misnamed, and of any name: three channels of 32 x 32 pixels."""
    steps = Compose([TRANSFORMS.build(step) for step in PIPELINES[kind]])
    paths = []
    for index, name in enumerate(GOOD):
        paths.append(tmp_path / str(index) / SAMPLES[name][0])
        paths[-1].parent.mkdir()
        paths[-1].write_bytes(SAMPLES[name][1])
    for name in NAMES:
        paths.append(tmp_path / name)
        paths[-1].write_bytes(encode(picture()))
    batch = default_collate([steps(dict(img_path=str(path), sample_idx=0)) for path in paths])
    assert batch['inputs'].shape == (len(paths), 3, 32, 32)


@pytest.mark.parametrize('kind', ['folder', 'prepared set'])
def test_broken_pictures_of_a_folder_and_of_a_prepared_set_are_passed_over(
    mmpretrain_scope, tmp_path: Path, kind: str
) -> None:
    root = tmp_path / 'pictures'
    root.mkdir()
    for index in range(12):
        (root / f'{index:02d}.jpg').write_bytes(encode(picture(40, 30, index)))
    if kind == 'prepared set':
        prepare(root, tmp_path / 'set', short_side=32, shard_pictures=6)
        root = tmp_path / 'set'
    dataset = IndexedFolder(
        data_root=str(root), with_label=False, index_cache=str(tmp_path / 'index'),
        pipeline=[
            dict(type='symmim_mm.LoadRandomResizedCrop', scale=16),
            dict(type='mmpretrain.PackInputs'),
        ],
    )  # fmt: skip
    name = dataset.get_data_info(5)['img_path']
    if kind == 'prepared set':
        place, size = int(dataset.index.start[5]), int(dataset.index.size[5])
        with open(Path(name).parent, 'r+b') as shard:
            shard.seek(place)
            shard.write(bytes(size))
    else:
        Path(name).write_bytes(b'')
    inner = DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=default_collate)
    loader = PositionedLoader(inner, seed=0)
    loader.pass_over_unreadable()
    found = []
    for batch in loader:
        assert batch['inputs'].shape == (4, 3, 16, 16)
        found += loader.unreadable
    assert [item.name for item in found][:1] == [name]
    assert all('not a picture that can be decoded' in item.reason for item in found)
    with pytest.raises(PictureError, match='not a picture'):
        dataset[5]


class Files(Dataset):
    """Pictures by their paths."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return LoadPicture()(dict(img_path=str(self.paths[index])))['img']


def test_the_line_comes_through_a_loader_worker(tmp_path: Path) -> None:
    path = tmp_path / 'half of 名前.jpg'
    path.write_bytes(SAMPLES['half a JPEG'][1])
    with pytest.raises(PictureError) as error:
        list(DataLoader(Files([path]), num_workers=1))
    assert str(error.value) == f'{path} ends too early: copy or fetch it again, or remove it'


def test_a_picture_that_kills_opencv_is_noticed(tmp_path: Path) -> None:
    """No file may end a run without a word: the worker dies, torch tells, the run is a fault."""
    path = tmp_path / 'a.png'
    path.write_bytes(crashing_png())
    try:
        found = list(DataLoader(Files([path]), num_workers=1))
    except PictureError as error:  # an OpenCV that refuses it
        assert str(path) in str(error)
    except RuntimeError as error:
        assert 'DataLoader worker' in str(error)
    else:  # one that is mended
        assert found


@pytest.fixture
def class_map(tmp_path: Path) -> dict:
    init_default_scope('mmseg')
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    cv2.imwrite(str(tmp_path / 'map.png'), values)
    return dict(
        seg_map_path=str(tmp_path / 'map.png'), ori_shape=(3, 4), seg_fields=[],
        reduce_zero_label=True,
    )  # fmt: skip


def test_class_map_of_the_stock_step(class_map: dict) -> None:
    found = LoadClassMap(reduce_zero_label=True)(class_map)
    expected = np.arange(12, dtype=np.uint8).reshape(3, 4) - 1  # 0 becomes 255, not counted
    assert np.array_equal(found['gt_seg_map'], expected)
    assert found['seg_fields'] == ['gt_seg_map']


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'not a class map'), (b'no picture' * 20, 'not a class map'), (None, 'cannot read'),
        (50, 'not a class map'), ('size', r'has \(4, 3\) rows and columns, its picture \(3, 4\)'),
        ('colour', r'has \(3, 4, 3\) rows and columns'), ('bomb', 'not a class map .* bomb'),
    ],
)  # fmt: skip
def test_class_maps_that_do_not_fit(class_map: dict, content, words: str) -> None:
    path = Path(class_map['seg_map_path'])
    if content is None:
        path.unlink()
    elif isinstance(content, int):
        path.write_bytes(path.read_bytes()[:content])
    elif content == 'size':
        Image.new('L', (3, 4)).save(path)
    elif content == 'bomb':
        path.write_bytes(SAMPLES['bomb'][1])
    elif content == 'colour':
        Image.new('RGB', (4, 3)).save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(PictureError, match=words) as error:
        LoadClassMap(reduce_zero_label=True)(class_map)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


@pytest.fixture
def broken_data(sample_data: Path, tmp_path: Path) -> Path:
    """A copy of the sample data of which some pictures are broken."""
    root = tmp_path / 'data'
    shutil.copytree(sample_data, root)
    return root


def damage(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-300])
    return path


def pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob('*') if path.suffix in ('.png', '.jpg', '.JPEG'))


def error_line(done) -> str:
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert done.returncode == 2 and len(lines) == 1, done.stderr[-3000:]
    assert 'Traceback' not in done.stderr
    return lines[0]


PRETRAIN = ('recipe.epochs=2', 'recipe.warmup_epochs=0', 'recipe.batch=8',
            'train_dataloader.num_workers=2')  # fmt: skip


@pytest.mark.slow
def test_a_pretraining_on_broken_pictures(tool, broken_data: Path, tmp_path: Path) -> None:
    """It ends well, with a list; with a limit that these pass it ends in one line."""
    root = broken_data / 'imagenet'
    paths = pictures(root / 'train')
    damage(paths[3])
    paths[10].write_bytes(b'')
    paths[17].write_text('<html>404</html>')
    paths[24].write_bytes(SAMPLES['bomb'][1])
    damage(pictures(root / 'val')[0])  # the first of those that are drawn at the end
    roots = [f'train_dataloader.dataset.data_root={root}',
             f'default_hooks.pictures.dataset.data_root={root}']  # fmt: skip
    config = 'configs/quickstart/symmim_pretrain.py'
    run = tmp_path / 'run'
    done = tool('train.py', config, '--work-dir', run, '--cfg-options', *roots, *PRETRAIN)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (run / 'unreadable.txt').read_text().splitlines()
    assert {line.split('\t')[0] for line in lines} == {str(paths[i]) for i in (3, 10, 17, 24)}
    assert len(lines) == 4
    assert (run / 'result.json').is_file()
    assert 'passed over a picture: ' in done.stdout + done.stderr

    limits = ['default_hooks.unreadable.least_seen=20', 'default_hooks.unreadable.most_share=0.03']
    done = tool('train.py', config, '--work-dir', tmp_path / 'limit', '--cfg-options', *roots,
                *PRETRAIN, *limits)  # fmt: skip
    assert 'pictures cannot be read, more than 3.00%: mend or remove those' in error_line(done)


@pytest.mark.slow
def test_two_processes_count_together(broken_data: Path, tmp_path: Path) -> None:
    """Both stop at the same step, at the share of all pictures, and list each of them once."""
    root = broken_data / 'imagenet'
    broken = pictures(root / 'train')[::8]
    for path in broken:
        path.write_bytes(b'')
    options = [f'train_dataloader.dataset.data_root={root}', *PRETRAIN,
               'train_dataloader.num_workers=1', 'recipe.epochs=9',
               'default_hooks.unreadable.least_seen=70']  # fmt: skip
    done = subprocess.run(
        ['bash', 'tools/dist_train.sh', 'configs/quickstart/mae_pretrain.py', '2', '--work-dir',
         str(tmp_path / 'run'), '--cfg-options', *options],
        cwd=ROOT, env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr[-3000:]
    found = re.findall(r'^error: (\d+) of (\d+) pictures cannot be read', done.stderr, re.MULTILINE)
    assert len(found) == 2 and len(set(found)) == 1, done.stderr[-3000:]
    count, seen = map(int, found[0])
    assert seen == 80 + count  # two epochs of 40 pictures, and what replaced some
    lines = (tmp_path / 'run' / 'unreadable.txt').read_text().splitlines()
    names = [line.split('\t')[0] for line in lines]
    assert sorted(names) == sorted(map(str, broken))


SUPERVISED = {
    'finetune': ('imagenet', 'train'),
    'knn': ('imagenet', 'train'),
    'linear': ('imagenet', 'val'),
    'mask_rcnn': ('coco', 'train2017'),
    'upernet': ('ade20k', 'images/training'),
    'upernet class map': ('ade20k', 'annotations/training'),
}


@pytest.mark.slow
@pytest.mark.parametrize('task', SUPERVISED)
def test_supervised_tasks_refuse(tool, broken_data: Path, tmp_path: Path, task: str) -> None:
    layout, folder = SUPERVISED[task]
    name = task.split()[0]
    broken = [str(path) for path in pictures(broken_data / layout / folder)]
    for path in broken:
        Path(path).write_bytes(bytes(500))  # of which no library has anything to say on stderr
    options = [f'{split}_dataloader.dataset.data_root={broken_data / layout}/'
               for split in ('train', 'val', 'test')]  # fmt: skip
    if name not in ('knn', 'linear'):
        options += ['recipe.batch=4', 'train_dataloader.num_workers=1']
    if name == 'mask_rcnn':
        annotations = broken_data / layout / 'annotations' / 'instances_val2017.json'
        options += [f'{split}_evaluator.ann_file={annotations}' for split in ('val', 'test')]
    command = name if name in ('knn', 'linear') else 'train'
    done = tool(f'{command}.py', f'configs/quickstart/{name}.py', '--work-dir', tmp_path / 'run',
                '--cfg-options', *options)  # fmt: skip
    line = error_line(done)
    assert any(path in line for path in broken), line
    assert 'decoded' in line or 'too early' in line
