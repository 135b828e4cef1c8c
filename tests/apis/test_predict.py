"""Predictions by the runs of probes, as `symmim train` makes them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from quickstart import write_config

import symmim_mm
from symmim_mm.apis.prediction import Classes, LabelMap
from symmim_mm.apis.test import build_trained
from symmim_mm.apis.train import configure


@pytest.mark.parametrize(
    ('name', 'kind'), [('attentive', Classes), ('linear_segmentation', LabelMap)]
)
def test_a_probe_predicts(name: str, kind: type, sample_data: Path, tmp_path: Path) -> None:
    cfg = configure(write_config(tmp_path, name, sample_data))
    run = tmp_path / 'run'
    run.mkdir()
    cfg.dump(run / f'{name}.py')
    state = build_trained(cfg, name, None).state_dict()
    meta = dict(dataset_meta=dict(classes=[f'class {i}' for i in range(10)]))
    torch.save(dict(state_dict=state, meta=meta), run / 'epoch_1.pth')
    [found] = symmim_mm.load(run).predict(np.full((80, 64, 3), 128, np.uint8))
    assert isinstance(found, kind)
    if isinstance(found, Classes):
        assert set(found.names) == set(meta['dataset_meta']['classes'])
        assert found.scores.sum() == pytest.approx(1)
    else:
        assert found.labels.shape == (80, 64)
