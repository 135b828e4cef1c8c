"""The real suite, real tools and all, on a handful of pictures: what `make demo` does, in small."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow

METRICS = dict(
    finetune={'top1'}, knn={'top1'}, linear={'top1'}, segmentation={'miou', 'macc'},
    detection={'box_ap', 'box_ap50', 'mask_ap', 'mask_ap50'},
)  # fmt: skip


def write_config(folder: Path, name: str, data: Path, changes: str) -> str:
    """A config that inherits one of the quickstart's, with its data in another place."""
    part = {'mask_rcnn': 'coco', 'upernet': 'ade20k'}.get(name, 'imagenet')
    loaders = ['train'] if name.endswith('pretrain') else ['train', 'val', 'test']
    lines = [f"_base_ = ['{ROOT}/configs/quickstart/{name}.py']"]
    root = f"dict(dataset=dict(data_root='{data / part}'))"
    lines += [f'{loader}_dataloader = {root}' for loader in loaders]
    path = folder / f'{name}.py'
    path.write_text('\n'.join([*lines, changes, '']))
    return str(path)


def test_suite_from_pictures_to_page(tmp_path: Path) -> None:
    data = tmp_path / 'work' / 'data'
    held_out = f"dict(pictures=dict(dataset=dict(data_root='{data / 'imagenet'}')))"
    annotations = data / 'coco' / 'annotations' / 'instances_val2017.json'
    iterations = 'recipe = dict(iterations=4, warmup_iterations=0)\n'
    iterations += 'train_cfg = dict(val_interval=4)\n'
    iterations += 'default_hooks = dict(checkpoint=dict(interval=4))'
    configs = {
        'symmim_pretrain': f'recipe = dict(epochs=1, batch=8, warmup_epochs=0)\n'
        f'default_hooks = {held_out}',
        'finetune': 'recipe = dict(epochs=1, batch=8, warmup_epochs=0)\n'
        'train_cfg = dict(val_interval=1)',
        'knn': '',
        'linear': '',
        'mask_rcnn': f"val_evaluator = dict(ann_file='{annotations}')\n"
        f"test_evaluator = dict(ann_file='{annotations}')\n{iterations}",
        'upernet': iterations,
    }
    paths = {name: write_config(tmp_path, name, data, text) for name, text in configs.items()}
    suite = tmp_path / 'small.json'  # JSON is YAML
    suite.write_text(
        json.dumps(
            dict(
                name='small',
                data=dict(
                    generator=['tools/make_sample_data.py', str(data), '--train', '40', '--val',
                               '20', '--coco-train', '16', '--coco-val', '4', '--ade-train', '16',
                               '--ade-val', '4']
                ),
                methods=dict(symmim=paths['symmim_pretrain'], random=None),
                transfers=dict(
                    finetune=paths['finetune'], knn=paths['knn'], linear=paths['linear'],
                    detection=paths['mask_rcnn'], segmentation=paths['upernet'],
                ),
            )
        )
    )  # fmt: skip

    def run(*options: str) -> subprocess.CompletedProcess:
        command = [sys.executable, 'tools/run_suite.py', str(suite), '--work-dir',
                   str(tmp_path / 'work'), *options]  # fmt: skip
        return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True,
                              text=True, timeout=900)  # fmt: skip

    listed = run('--dry-run')
    assert listed.returncode == 0, listed.stderr
    assert 'symmim-detection-seed0' in listed.stdout
    assert not data.exists()

    first = run()
    logs = {path.parent.name: path.read_text()[-1500:] for path in tmp_path.rglob('log.txt')}
    assert first.returncode == 0, f'{first.stdout}{first.stderr}{logs}'
    for method in ('symmim', 'random'):
        for task, names in METRICS.items():
            file = tmp_path / 'work' / f'{method}-{task}-seed0' / 'result.json'
            record = json.loads(file.read_text())
            assert (record['method'], record['task']) == (method, task)
            assert names <= set(record['metrics'])
            assert record['parent'] == ('symmim-pretrain-seed0' if method == 'symmim' else None)
            if task in ('detection', 'segmentation'):
                assert len(record['pictures']) == 4
    page = (tmp_path / 'work' / 'report' / 'index.html').read_text()
    assert page.count('data:image/png;base64,') >= 6 + 4 * 4
    assert 'src="http' not in page
    with open(tmp_path / 'work' / 'report' / 'results.csv', newline='') as file:
        before = list(csv.reader(file))
    assert len(before) > 2

    second = run()
    assert second.returncode == 0, second.stderr
    assert 'all 11 runs are finished' in second.stdout
    with open(tmp_path / 'work' / 'report' / 'results.csv', newline='') as file:
        assert list(csv.reader(file)) == before
