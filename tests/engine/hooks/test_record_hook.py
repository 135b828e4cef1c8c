"""The record of a training: what is refused at its start, what is written at its end."""

import errno
import hashlib
import json
import logging
import math
import os
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config
from paths import ROOT
from torch import nn

from symmim_mm.config.recipe import apply_recipe
from symmim_mm.engine.hooks.record_hook import (
    CURVE,
    RecordHook,
    collect_curve,
    find_images,
)
from symmim_mm.planning.fake_model import build_without_storage
from symmim_mm.results import run_info
from symmim_mm.results.metrics import DETECTION
from symmim_mm.results.record import FILE_NAME, Batch, Data, Record, Split
from symmim_mm.results.run_info import architecture
from symmim_mm.utils.errors import UserError


def write_scalars(work_dir: Path, stamp: str, steps: range, loss: float) -> Path:
    file = work_dir / stamp / 'vis_data/scalars.json'
    file.parent.mkdir(parents=True)
    file.write_text(''.join(f'{{"loss": {loss}, "step": {step}}}\n' for step in steps))
    return file


def test_a_resumed_curve_has_each_step_once(tmp_path: Path) -> None:
    assert collect_curve(tmp_path) is None  # nothing was logged yet
    file = write_scalars(tmp_path, '20260101_000000', range(10, 60, 10), 1.0)
    health = ''.join(f'{{"health/rank": 1.0, "step": {step}}}\n' for step in (0, 50))
    accuracy = '{"accuracy/top1": 3.0, "step": 1}\n'
    file.write_text(file.read_text() + health + accuracy + '{"loss": 2.0, "st')
    later = write_scalars(tmp_path, '20260101_010000', range(40, 80, 10), 2.0)
    later.write_text('{"health/rank": 2.0, "step": 30}\n' + later.read_text())
    assert collect_curve(tmp_path) == 'curve.jsonl'
    lines = [json.loads(line) for line in (tmp_path / 'curve.jsonl').read_text().splitlines()]
    assert [(line['step'], line['loss']) for line in lines if 'loss' in line] == [
        (10, 1.0), (20, 1.0), (30, 1.0), (40, 2.0), (50, 2.0), (60, 2.0), (70, 2.0)
    ]  # fmt: skip
    # A validation counts epochs: the steps of losses say nothing of it, nor of health.
    assert [line for line in lines if 'accuracy/top1' in line] == [json.loads(accuracy)]
    ranks = [(line['step'], line['health/rank']) for line in lines if 'health/rank' in line]
    assert ranks == [(0, 1.0), (30, 2.0)]


@pytest.mark.parametrize(
    ('backbone', 'name'),
    [
        (dict(arch='base', patch_size=16), 'ViT-B/16'),
        (dict(arch='l'), 'ViT-L/16'),
        (dict(arch='deit-small'), 'ViT-S/16'),
        (dict(arch=dict(embed_dims=128, num_layers=6), patch_size=8), 'ViT 128x6/8'),
    ],
)
def test_architecture_names(backbone: dict, name: str) -> None:
    assert architecture(backbone) == name


class Labels:
    """Two label maps: 0 is unlabeled, 24 pixels of class 1 and 6 of class 2."""

    reduce_zero_label = True
    data_root = '/data'
    metainfo = dict(classes=('a', 'b', 'c'))

    def __init__(self, folder: Path) -> None:
        self.paths = []
        for index, values in enumerate(([1] * 10 + [0] * 6, [1] * 14 + [2] * 6)):
            path = folder / f'{index}.png'
            cv2.imwrite(str(path), np.array([values], np.uint8))
            self.paths.append(str(path))

    def __len__(self) -> int:
        return len(self.paths)

    def get_data_info(self, index: int) -> dict:
        return dict(
            seg_map_path=self.paths[index],
            img_path=f'{self.data_root}/{index}.jpg',
            reduce_zero_label=self.reduce_zero_label,
        )


def finished_runner(work_dir: Path, task: str) -> SimpleNamespace:
    """Return what the hook uses of a runner at the end of its training."""
    (work_dir / 'iter_3.pth').touch()
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'iter_3.pth'))
    cfg = dict(run=dict(task=task, dataset='sample'), model=dict(backbone=dict(arch='base')),
               optim_wrapper=dict(accumulative_counts=4))  # fmt: skip
    validation = SimpleNamespace(dataloader=SimpleNamespace(dataset=Labels(work_dir)))
    return SimpleNamespace(
        cfg=Config(cfg), work_dir=str(work_dir), seed=0, iter=3, val_loop=validation,
        train_dataloader=SimpleNamespace(batch_size=2, dataset=Labels(work_dir)),
        model=nn.BatchNorm1d(4), logger=logging.getLogger('record'),
    )  # fmt: skip


def recorded(hook: RecordHook, runner: SimpleNamespace, metrics: dict[str, float]) -> Record:
    hook.before_run(runner)
    hook.after_val_epoch(runner, metrics)
    hook.after_run(runner)
    return Record.read(Path(runner.work_dir, FILE_NAME))


@pytest.fixture
def hook() -> RecordHook:
    return RecordHook(str(ROOT / 'configs/quickstart/upernet.py'))


@pytest.mark.parametrize(
    ('task', 'metrics', 'kept', 'undefined'),
    [
        ('detection', {'coco/bbox_mAP': 0.25, 'coco/segm_mAP': -1.0}, {'box_ap': 25.0}, 'mask_ap'),
        ('detection', {'coco/bbox_mAP': -1.0}, {}, 'box_ap'),
        ('segmentation', {'mIoU': math.nan, 'mAcc': 40.0}, {'macc': 40.0}, 'miou'),
    ],
)
def test_undefined_metrics_are_left_out(
    tmp_path: Path, hook: RecordHook, caplog, task: str, metrics: dict, kept: dict, undefined: str
) -> None:
    record = recorded(hook, finished_runner(tmp_path, task), metrics)
    assert record.metrics == kept and undefined not in record.chance
    warnings = [entry.message for entry in caplog.records if entry.levelname == 'WARNING']
    assert len(warnings) == 1 and warnings[0].startswith(f'{undefined}: undefined')


@pytest.mark.parametrize(('crowd', 'metrics'), [(0, dict.fromkeys(DETECTION, 0.0)), (1, {})])
def test_nothing_detected_is_zero_only_of_what_there_is(
    tmp_path: Path, hook: RecordHook, monkeypatch, crowd: int, metrics: dict
) -> None:
    info = dict(instances=[dict(bbox=[0, 0, 4, 4], bbox_label=0, ignore_flag=crowd)])
    monkeypatch.setattr(Labels, 'get_data_info', lambda *_: info)
    record = recorded(hook, finished_runner(tmp_path, 'detection'), dict(data_time=0.1))
    assert record.metrics == record.chance == metrics


def test_what_is_recorded(tmp_path: Path, hook: RecordHook, caplog) -> None:
    record = recorded(hook, finished_runner(tmp_path, 'segmentation'), {'mIoU': 12.5, 'mAcc': 0.0})
    assert record.metrics == {'miou': 12.5, 'macc': 0.0}
    # Of blind guessing: the share of the largest class over the two classes that occur.
    assert record.chance == {'miou': pytest.approx(100 * (24 / 30) / 2)}
    assert not [entry for entry in caplog.records if entry.levelname == 'WARNING']
    split = Split(images=2, classes=3, fingerprint=hashlib.sha256(b'0.jpg\x001.jpg\0').hexdigest())
    assert record.data == Data(train=split, val=split)
    assert record.batch == Batch(micro_batch=2, processes=1, accumulation=4, batch_norm=True)
    assert record.images == 3 * 2


@pytest.mark.parametrize('processes', [1, 4])
def test_negatives_are_those_of_the_global_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    cfg = Config.fromfile(ROOT / 'configs/quickstart/symmim_pretrain.py')
    cfg.recipe.max_batch_per_gpu = 2
    apply_recipe(cfg, processes)
    runner = finished_runner(tmp_path, 'pretrain')
    runner.cfg, runner.model = cfg, build_without_storage(cfg)
    runner.train_dataloader.batch_size = cfg.train_dataloader.batch_size
    monkeypatch.setattr(run_info, 'get_world_size', lambda: processes)
    batch = run_info.describe_batch(runner)
    assert batch.accumulation > 1 and batch.negatives == cfg.recipe.batch - 1
    assert batch.micro_batch * batch.processes * batch.accumulation == cfg.recipe.batch


@pytest.mark.parametrize('name', [FILE_NAME, CURVE, 'last_checkpoint', 'images'])
def test_a_taken_name_in_the_folder_is_refused_at_the_start(
    tmp_path: Path, hook: RecordHook, name: str
) -> None:
    runner = finished_runner(tmp_path, 'segmentation')
    (tmp_path / name).unlink(missing_ok=True)
    kind, take = ('file', Path.touch) if name == 'images' else ('folder', Path.mkdir)
    take(tmp_path / name)
    with pytest.raises(UserError, match=f'{name} is a {kind} where a .* remove it'):
        hook.before_run(runner)


def test_unrecordable_runs_are_refused_at_the_start(tmp_path: Path, hook: RecordHook) -> None:
    runner = finished_runner(tmp_path, 'finetune')
    runner.val_loop = None
    with pytest.raises(UserError, match='state val_dataloader'):
        hook.before_run(runner)
    runner = finished_runner(tmp_path, 'segmentation')
    runner.work_dir = os.fsdecode(os.fsencode(tmp_path) + b'/folder\xff/run')
    with pytest.raises(UserError, match='is not in UTF-8'):
        hook.before_run(runner)


def test_metrics_are_logged_even_if_the_record_cannot_be_written(
    tmp_path: Path, hook: RecordHook, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(Record, 'write', disk_full)
    with pytest.raises(OSError, match='No space left on device'):
        recorded(hook, finished_runner(tmp_path, 'segmentation'), {'mIoU': 12.5})
    assert 'final metrics: {"miou": 12.5}' in caplog.messages


@given(st.one_of(st.none(), st.text(), st.booleans(), st.integers(), st.floats()), st.booleans())
def test_an_impossible_time_of_a_checkpoint_counts_as_none(value: object, resume: bool) -> None:
    """So does any of another run, of which ``load_from`` takes the weights alone."""
    hook = RecordHook('config.py')
    hook.after_load_checkpoint(SimpleNamespace(_resume=resume), dict(meta=dict(elapsed_s=value)))
    assert 0 <= hook.earlier_s < 1e100
    if type(value) in (int, float) and 0 <= value < 1e100:
        assert hook.earlier_s == float(value) * resume


@pytest.mark.parametrize(
    ('earlier', 'expected'), [(dict(device_s=800.0), 800 + 160), ({}, 1600 + 160)]
)
def test_device_seconds_are_those_of_every_attempt(
    earlier: dict, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an older checkpoint, those of as many processes as there are now."""
    monkeypatch.setattr('symmim_mm.engine.hooks.record_hook.get_world_size', lambda: 16)
    hook = RecordHook('config.py')
    meta = dict(elapsed_s=100.0, **earlier)
    hook.after_load_checkpoint(SimpleNamespace(_resume=True), dict(meta=meta))
    hook.started = time.time() - 10
    checkpoint: dict = dict(meta={})
    hook.before_save_checkpoint(None, checkpoint)
    assert checkpoint['meta']['elapsed_s'] == pytest.approx(110, abs=1)
    assert checkpoint['meta']['device_s'] == pytest.approx(expected, abs=16)


def test_only_numbered_files_count_as_images(tmp_path: Path) -> None:
    (tmp_path / 'images').mkdir()
    for name in ('10.png', '9.png', 'mine.png', '².png', '1.5.png', '2.jpg'):
        (tmp_path / 'images' / name).touch()
    assert find_images(tmp_path) == ['images/9.png', 'images/10.png']
