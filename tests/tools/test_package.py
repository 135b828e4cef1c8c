"""The wheel, installed away from the repository: commands, configs, templates."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from make_runs import data, record
from paths import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('package')
    source = folder / 'source'  # the build writes into its source
    source.mkdir()
    for name in ('pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    for name in ('symmim_mm', 'configs', 'requirements'):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    pip = [sys.executable, '-m', 'pip', '--quiet', '--disable-pip-version-check']
    build = ['wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', folder, source]
    subprocess.run([*pip, *build], check=True)
    wheel = next(folder.glob('*.whl'))
    subprocess.run([*pip, 'install', '--no-deps', '--target', folder / 'site', wheel], check=True)
    return folder / 'site'


def test_commands_away_from_the_repository(installed: Path, tmp_path: Path) -> None:
    def symmim(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, installed / 'bin' / 'symmim', *words], cwd=tmp_path, text=True,
            capture_output=True, env={**os.environ, 'PYTHONPATH': str(installed)},
        )  # fmt: skip

    def one_line(done: subprocess.CompletedProcess, words: str) -> None:
        assert done.returncode == 2 and done.stderr.count('\n') == 1 and words in done.stderr

    assert 'sample-data' in symmim('--help').stdout
    one_line(symmim('benchmark', '--help'), 'clone the repository')
    one_line(symmim('train', 'symmim/vit_b'), 'config symmim/vit_b does not exist')
    missing = symmim('train', 'symmim/vit_b_pretrain')
    one_line(missing, 'train_dataloader: data/imagenet')
    listed = symmim('suite', 'suites/quickstart.yaml', '--dry-run')
    assert '24 to run, 0 finished' in listed.stdout, listed.stderr
    one_line(symmim('suite', 'suites/imagenet_published.yaml'), 'run the suite in a clone')
    for task, val, classes in (('pretrain', None, None), ('finetune', 50_000, 1000)):
        made = record(
            'mae', task, dataset='imagenet-1k', arch='ViT-B/16', data=data(1_281_167, val, classes)
        )
        made.write(tmp_path / 'runs' / task)
    assert symmim('collect', 'runs').returncode == 0
    page = (tmp_path / 'runs' / 'report' / 'index.html').read_text()
    assert 'MAE ViT-B/16, 1600 epochs' in page
