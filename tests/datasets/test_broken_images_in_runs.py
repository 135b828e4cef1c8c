"""Broken images in runs as a user starts them: pre-training skips them, other tasks refuse."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from image_samples import damaged_animation, png_of_size
from paths import ROOT
from quickstart import LAYOUTS, data_options
from warm_commands import WarmCommands

pytestmark = pytest.mark.slow


@pytest.fixture
def broken_data(sample_data: Path, tmp_path: Path) -> Path:
    """A copy of the sample data of which some images are broken."""
    root = tmp_path / 'data'
    shutil.copytree(sample_data, root)
    return root


def damage(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-300])
    return path


def images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob('*') if path.suffix in ('.png', '.jpg', '.JPEG'))


def error_line(done) -> str:
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert done.returncode == 2 and len(lines) == 1, done.stderr[-3000:]
    assert 'Traceback' not in done.stderr
    return lines[0]


PRETRAIN = ('recipe.epochs=2', 'recipe.warmup_epochs=0', 'recipe.batch=8',
            'train_dataloader.num_workers=2')  # fmt: skip


def test_a_pretraining_on_broken_images(
    tool: WarmCommands, broken_data: Path, tmp_path: Path
) -> None:
    """It ends well, with a list; with a limit that these pass it ends in one line."""
    root = broken_data / 'imagenet'
    paths = images(root / 'train')
    damage(paths[3])
    paths[10].write_bytes(b'')
    paths[17].write_text('<html>404</html>')
    paths[24].write_bytes(png_of_size(60_000, 60_000))
    paths[31].write_bytes(damaged_animation())  # of which OpenCV 4.12 alone would die
    damage(images(root / 'val')[0])  # the first of those that are drawn at the end
    roots = data_options('symmim_pretrain', broken_data)
    config = 'configs/quickstart/symmim_pretrain.py'
    run = tmp_path / 'run'
    done = tool('train.py', config, '--work-dir', run, '--cfg-options', *roots, *PRETRAIN)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (run / 'unreadable.txt').read_text().splitlines()
    assert {line.split('\t')[0] for line in lines} == {str(paths[i]) for i in (3, 10, 17, 24, 31)}
    assert len(lines) == 5
    assert (run / 'result.json').is_file()
    assert 'skipped an image: ' in done.stdout + done.stderr

    limits = ['default_hooks.unreadable.least_seen=20', 'default_hooks.unreadable.most_share=0.03']
    done = tool('train.py', config, '--work-dir', tmp_path / 'limit', '--cfg-options', *roots,
                     *PRETRAIN, *limits)  # fmt: skip
    assert 'images cannot be read, more than 3.00%: fix or remove those' in error_line(done)


def test_two_processes_count_together(broken_data: Path, tmp_path: Path) -> None:
    """Both stop at the same step, at the share of all images, and list each of them once."""
    root = broken_data / 'imagenet'
    broken = images(root / 'train')[::8]
    for path in broken:
        path.write_bytes(b'')
    options = [*data_options('mae_pretrain', broken_data), *PRETRAIN,
               'train_dataloader.num_workers=1', 'recipe.epochs=9',
               'default_hooks.unreadable.least_seen=70']  # fmt: skip
    done = subprocess.run(
        ['bash', 'tools/dist_train.sh', 'configs/quickstart/mae_pretrain.py', '2', '--work-dir',
         str(tmp_path / 'run'), '--cfg-options', *options],
        cwd=ROOT, env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr[-3000:]
    found = re.findall(r'^error: (\d+) of (\d+) images cannot be read', done.stderr, re.MULTILINE)
    assert len(found) == 2 and len(set(found)) == 1, done.stderr[-3000:]
    count, seen = map(int, found[0])
    assert seen == 80 + count  # two epochs of 40 images, and what replaced some
    lines = (tmp_path / 'run' / 'unreadable.txt').read_text().splitlines()
    names = [line.split('\t')[0] for line in lines]
    assert sorted(names) == sorted(map(str, broken))


SUPERVISED = {
    'finetune': 'train',
    'knn': 'train',
    'linear': 'val',
    'mask_rcnn': 'train2017',
    'upernet': 'images/training',
    'upernet label map': 'annotations/training',
}


@pytest.mark.parametrize('task', SUPERVISED)
def test_supervised_tasks_refuse(
    tool: WarmCommands, broken_data: Path, tmp_path: Path, task: str
) -> None:
    name = task.split()[0]
    folder = broken_data / LAYOUTS.get(name, 'imagenet') / SUPERVISED[task]
    broken = [str(path) for path in images(folder)]
    for path in broken:
        Path(path).write_bytes(bytes(500))  # of which no library has anything to say on stderr
    options = data_options(name, broken_data)
    if name not in ('knn', 'linear'):
        options += ['recipe.batch=4', 'train_dataloader.num_workers=1']
    command = name if name in ('knn', 'linear') else 'train'
    done = tool(f'{command}.py', f'configs/quickstart/{name}.py',
                     '--work-dir', tmp_path / 'run', '--cfg-options', *options)  # fmt: skip
    line = error_line(done)
    assert any(path in line for path in broken), line
    assert any(words in line for words in ('decoded', 'too early', 'not a label map')), line


@pytest.mark.parametrize(('command', 'split'), [('train', 'train'), ('test', 'val')])
def test_detection_refuses_annotations(
    tool: WarmCommands, broken_data: Path, tmp_path: Path, command: str, split: str
) -> None:
    """A training on boxes without end would end with a segmentation fault."""
    root = broken_data / 'coco'
    path = root / 'annotations' / f'instances_{split}2017.json'
    content = json.loads(path.read_text())
    for entry in content['annotations']:
        entry['bbox'] = [0, 0, float('inf'), 1]
    path.write_text(json.dumps(content))
    arguments = []
    if command == 'test':
        # The annotations are looked at before the weights are fitted into the model.
        torch.save({'state_dict': {'x': torch.zeros(1)}}, tmp_path / 'other.pth')
        arguments = [tmp_path / 'other.pth']
    roots = data_options('mask_rcnn', broken_data)
    done = tool(f'{command}.py', 'configs/quickstart/mask_rcnn.py', *arguments,
                     '--work-dir', tmp_path / 'run', '--cfg-options', *roots)  # fmt: skip
    line = error_line(done)
    assert f'{path}: annotation ' in line and 'bbox [0, 0, inf, 1]' in line
