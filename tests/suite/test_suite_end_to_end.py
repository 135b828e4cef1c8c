"""The real suite, real tools and all, on a handful of images: what `make demo` does, in small."""

import csv
import json
import subprocess
from pathlib import Path

import pytest
from small_suite import write_small_suite

pytestmark = pytest.mark.slow

METRICS = dict(
    finetune={'top1'}, knn={'top1'}, linear={'top1'}, segmentation={'miou', 'macc'},
    detection={'box_ap', 'box_ap50', 'mask_ap', 'mask_ap50'},
)  # fmt: skip


def test_suite_from_images_to_page(tool, tmp_path: Path) -> None:
    suite = write_small_suite(tmp_path)
    data = tmp_path / 'work' / 'data'

    def run(*options: str) -> subprocess.CompletedProcess:
        return tool('run_suite.py', suite, '--work-dir', tmp_path / 'work', *options, timeout=900)

    listed = run('--dry-run')
    assert listed.returncode == 0, listed.stderr
    assert 'symmim-detection-seed0' in listed.stdout
    assert not data.exists()

    first = run()
    logs = {path.parent.name: path.read_text()[-1500:] for path in tmp_path.rglob('log.txt')}
    assert first.returncode == 0, f'{first.stdout}{first.stderr}{logs}'
    for task, names in METRICS.items():
        file = tmp_path / 'work' / f'symmim-{task}-seed0' / 'result.json'
        record = json.loads(file.read_text())
        assert (record['method'], record['task']) == ('symmim', task)
        assert names <= set(record['metrics']) and record['parent'] == 'symmim-pretrain-seed0'
        if task in ('detection', 'segmentation'):
            assert len(record['figures']) == 4
    page = (tmp_path / 'work' / 'report' / 'index.html').read_text()
    assert page.count('data:image/png;base64,') >= 6 + 2 * 4
    assert 'src="http' not in page
    with open(tmp_path / 'work' / 'report' / 'results.csv', newline='') as file:
        before = list(csv.reader(file))
    assert len(before) > 2

    second = run()
    assert second.returncode == 0, second.stderr
    assert 'all 6 runs are finished' in second.stdout
    with open(tmp_path / 'work' / 'report' / 'results.csv', newline='') as file:
        assert list(csv.reader(file)) == before
