"""``tools/slurm_train.sh`` on a real Slurm, where there is one (docs/cluster.md tells how)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT
from small_suite import write_small_suite

pytestmark = pytest.mark.slow


def partition_with_two_cpus() -> str:
    """A partition that takes jobs of two tasks now; skips the test where there is none."""
    if shutil.which('sinfo') is None:
        pytest.skip('Slurm is not installed')
    question = ['sinfo', '--noheader', '--states=idle,mixed', '--format=%R %c']
    answer = subprocess.run(question, capture_output=True, text=True, timeout=30)
    if answer.returncode:
        pytest.skip(f'Slurm does not answer: {answer.stderr.strip()}')
    for line in answer.stdout.splitlines():
        name, cpus = line.split()
        if int(cpus.rstrip('+')) >= 2:
            return name
    pytest.skip('no node with two processors is idle in Slurm')


def train(partition: str, work_dir: Path, *options: str) -> subprocess.CompletedProcess:
    words = ['configs/quickstart/mae_pretrain.py', str(work_dir), '--cfg-options', *options]
    return subprocess.run(
        ['bash', 'tools/slurm_train.sh', partition, 'test', *words],
        cwd=ROOT,
        env={**os.environ, 'GPUS': '2', 'CPUS_PER_TASK': '1', 'GRES': 'none'},
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_two_tasks_pretrain_to_a_record(sample_data: Path, tmp_path: Path) -> None:
    partition = partition_with_two_cpus()
    root = sample_data / 'imagenet'
    result = train(
        partition, tmp_path / 'run', f'train_dataloader.dataset.data_root={root}',
        f'default_hooks.images.dataset.data_root={root}', 'recipe.batch=8',
        'recipe.epochs=1', 'recipe.warmup_epochs=0',
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    record = json.loads((tmp_path / 'run' / 'result.json').read_text())
    assert record['hardware']['world_size'] == 2
    assert record['images'] == 40
    assert (tmp_path / 'run' / record['checkpoint']).is_file()


def test_a_mistake_ends_the_job_with_one_line(tmp_path: Path) -> None:
    partition = partition_with_two_cpus()
    missing = tmp_path / 'nowhere'
    result = train(partition, tmp_path / 'run', f'train_dataloader.dataset.data_root={missing}')
    assert result.returncode != 0  # of the task that failed, or of one that srun ended then
    lines = {line for line in result.stderr.splitlines() if line.startswith('error: ')}
    assert len(lines) == 1
    assert str(missing) in lines.pop()


def test_suite_runs_as_jobs(tmp_path: Path) -> None:
    """Every run of a suite is a job of Slurm, after those that it depends on; then the page."""
    partition = partition_with_two_cpus()
    suite = write_small_suite(tmp_path)
    contents = json.loads(suite.read_text())
    contents['slurm'] = {'partition': partition, 'cpus-per-task': 1, 'mem': 4000, 'time': 30}
    suite.write_text(json.dumps(contents))
    work_dir = tmp_path / 'work'
    result = subprocess.run(
        [sys.executable, 'tools/run_suite.py', suite, '--work-dir', work_dir, '--slurm',
         '--jobs', '2'],
        cwd=ROOT, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    records = {path.parent.name: json.loads(path.read_text())
               for path in work_dir.glob('*/result.json')}  # fmt: skip
    assert len(records) == 6
    assert records['symmim-detection-seed0']['parent'] == 'symmim-pretrain-seed0'
    assert (work_dir / 'report' / 'index.html').is_file()
