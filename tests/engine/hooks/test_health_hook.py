"""Health in the log of a real pre-training, which does not notice it."""

import json
from pathlib import Path

import pytest
import torch
from quickstart import write_config

from symmim_mm.apis.train import train
from symmim_mm.checkpoint.read import read_checkpoint

EPOCH = (
    'recipe = dict(epochs=1, batch=8, warmup_epochs=0)\ndefault_hooks = dict(images=None, health='
)


@pytest.mark.slow
def test_measured_or_not_the_training_is_the_same(sample_data: Path, tmp_path: Path) -> None:
    trained = []
    for number, health in enumerate(('dict(images=6, share=1.0)', 'None')):
        folder = tmp_path / str(number)
        folder.mkdir()
        config = write_config(folder, 'symmim_pretrain', sample_data, f'{EPOCH}{health})')
        train(config, work_dir=folder / 'work')
        trained.append(read_checkpoint(folder / 'work/epoch_1.pth')['state_dict'])
    assert all(torch.equal(value, trained[1][name]) for name, value in trained[0].items())

    lines = map(json.loads, (tmp_path / '0/work/curve.jsonl').read_text().splitlines())
    ranks = {line['step']: line['health/rank'] for line in lines if 'health/rank' in line}
    assert {0, 5} <= ranks.keys()  # before the first step and after the last one
    assert all(1 <= rank <= 6 for rank in ranks.values())
    assert 'health/' not in (tmp_path / '1/work/curve.jsonl').read_text()
