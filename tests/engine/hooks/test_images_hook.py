"""Drawings of held-out images, of a model that has nothing to draw, too."""

from pathlib import Path

import pytest
from quickstart import write_config

from symmim_mm.apis.train import train
from symmim_mm.results.record import FILE_NAME, Record


@pytest.mark.slow
@pytest.mark.parametrize(('mim_weight', 'drawn'), [(1.0, 6), (0.0, 0)])
def test_a_run_ends_whether_it_reconstructs_or_not(
    sample_data: Path, tmp_path: Path, mim_weight: float, drawn: int
) -> None:
    changes = 'recipe = dict(epochs=1, batch=8, warmup_epochs=0)\n'
    changes += f'model = dict(mim_weight={mim_weight})'
    config = write_config(tmp_path, 'symmim_pretrain', sample_data, changes)
    train(config, work_dir=tmp_path / 'work')
    record = Record.read(tmp_path / 'work' / FILE_NAME)
    assert len(record.figures) == len(list(tmp_path.glob('work/images/*.png'))) == drawn
