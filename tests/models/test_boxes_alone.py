"""Boxes without masks are trained, drawn and recorded from the first step to the last."""

import json
import shutil
from pathlib import Path

import pytest
from paths import ROOT

from symmim_mm.results.record import Record


@pytest.fixture
def boxes(sample_data: Path, tmp_path: Path) -> Path:
    root = shutil.copytree(sample_data / 'coco', tmp_path / 'coco')
    for path in (root / 'annotations').iterdir():
        content = json.loads(path.read_text())
        for annotation in content['annotations']:
            del annotation['segmentation']
        path.write_text(json.dumps(content))
    return root


@pytest.mark.slow
def test_a_detector_without_mask_branch(boxes: Path, tmp_path: Path, tool) -> None:
    paths = {f'{loader}_dataloader.dataset.data_root': boxes for loader in ('train', 'val', 'test')}
    file = boxes / 'annotations/instances_val2017.json'
    options = paths | {'val_evaluator.ann_file': file, 'test_evaluator.ann_file': file}
    options |= {'recipe.iterations': 2, 'recipe.warmup_iterations': 1, 'train_cfg.val_interval': 2}
    options['default_hooks.checkpoint.interval'] = 2
    arguments = [f'{key}={value}' for key, value in options.items()]
    config = ROOT / 'configs/quickstart/mask_rcnn.py'
    command = ('train.py', config, '--work-dir', tmp_path / 'run', '--cfg-options')

    refused = tool(*command, *arguments)
    assert refused.returncode == 2 and 'model.roi_head.mask_head=None' in refused.stderr

    trained = tool(*command, *arguments, 'model.roi_head.mask_head=None')
    assert trained.returncode == 0, trained.stderr
    record = Record.read(tmp_path / 'run/result.json')
    assert set(record.metrics) == set(record.chance) == {'box_ap', 'box_ap50'}
    assert record.figures
