"""k-NN and the linear classifier as commands: what is told before encoding, what survives."""

import argparse
import errno
import os
import shutil
from pathlib import Path

import pytest
from paths import ROOT

from symmim_mm.apis import evaluate as run
from symmim_mm.config.load import add_run_arguments
from symmim_mm.results.record import FILE_NAME, Record
from symmim_mm.utils.errors import Fault, UserError


def arguments(work_dir: Path, train: Path, val: Path, backbone: Path | None = None):
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    args = parser.parse_args([
        str(ROOT / 'configs/quickstart/knn.py'), '--work-dir', str(work_dir), '--cfg-options',
        f'train_dataloader.dataset.data_root={train}', f'val_dataloader.dataset.data_root={val}',
    ])  # fmt: skip
    args.backbone = backbone
    return args


@pytest.fixture
def pictures(sample_data: Path) -> Path:
    return sample_data / 'imagenet'


@pytest.fixture
def no_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def extract(*_: object) -> None:
        raise AssertionError('encoded')

    monkeypatch.setattr(run, 'extract', extract)


@pytest.mark.parametrize(
    ('name', 'problem'),
    [(b'w', 'result.json is a folder'), (b'w\xff', 'run: should be a valid string')],
)
def test_a_folder_that_takes_no_record_is_told_before_encoding(
    tmp_path: Path, pictures: Path, no_encoding: None, name: bytes, problem: str
) -> None:
    (tmp_path / 'w' / FILE_NAME).mkdir(parents=True)
    work_dir = tmp_path / os.fsdecode(name)
    with pytest.raises(UserError, match=problem):
        run.evaluate(arguments(work_dir, pictures, pictures), 'knn')


def test_a_full_disk_is_told_before_encoding(
    tmp_path: Path, pictures: Path, no_encoding: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('tempfile.TemporaryFile', disk_full)
    with pytest.raises(Fault, match='cannot be written: No space left on device'):
        run.evaluate(arguments(tmp_path, pictures, pictures), 'knn')


def disk_full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_different_classes_are_told_before_encoding(
    tmp_path: Path, pictures: Path, no_encoding: None
) -> None:
    other = tmp_path / 'other'
    shutil.copytree(pictures, other)
    shutil.rmtree(sorted((other / 'val').iterdir())[0])
    with pytest.raises(UserError, match='different classes'):
        run.evaluate(arguments(tmp_path / 'w', pictures, other), 'knn')


def test_a_broken_record_beside_the_backbone_is_told_before_encoding(
    tmp_path: Path, pictures: Path, no_encoding: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = tmp_path / 'last.pth'
    backbone.touch()
    (tmp_path / FILE_NAME).write_text('{')
    monkeypatch.setattr(run, 'load_backbone', lambda *_: 'loaded')
    with pytest.raises(UserError, match='not a JSON file'):
        run.evaluate(arguments(tmp_path / 'w', pictures, pictures, backbone), 'knn')


def test_the_accuracy_is_printed_though_the_disk_fills_up(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(Record, 'write', disk_full)
    with pytest.raises(Fault, match=f'{FILE_NAME} cannot be written: No space left'):
        run.evaluate(arguments(tmp_path, pictures, pictures), 'knn')
    assert 'knn top-1 ' in capsys.readouterr().out
