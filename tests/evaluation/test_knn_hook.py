"""k-NN in the course of a real pre-training, which does not notice it."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from quickstart import write_config

from symmim_mm.apis.train import train
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.evaluation.features import build_loaders
from symmim_mm.evaluation.knn_hook import KnnHook
from symmim_mm.utils.errors import UserError

CHANGES = """
recipe = dict(epochs=2, batch=8, warmup_epochs=0)
default_hooks = dict(images=None, health=None)
"""
HOOK = """
loader = dict(
    batch_size=16, num_workers={workers}, sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='symmim_mm.ImageFolder', data_root='{root}', data_prefix='train',
        pipeline=[dict(type='symmim_mm.LoadImageStrict'),
                  dict(type='mmpretrain.CenterCrop', crop_size=64),
                  dict(type='mmpretrain.PackInputs')],
    ),
)
custom_hooks = [dict(type='symmim_mm.KnnHook', train=loader, val=loader, interval=1, k={k})]
"""


def run(folder: Path, method: str, data: Path, changes: str) -> dict[str, torch.Tensor]:
    folder.mkdir()
    config = write_config(folder, f'{method}_pretrain', data, CHANGES + changes)
    train(config, work_dir=folder / 'work')
    return read_checkpoint(folder / 'work/epoch_2.pth')['state_dict']


@pytest.mark.slow
@pytest.mark.parametrize('method', ['symmim', 'mae'])
def test_measured_or_not_the_training_is_the_same(
    method: str, sample_data: Path, tmp_path: Path
) -> None:
    """Images are classified among themselves: each is its own nearest neighbor."""
    hook = HOOK.format(root=sample_data / 'imagenet', workers=1, k=1)
    measured = run(tmp_path / 'measured', method, sample_data, hook)
    plain = run(tmp_path / 'plain', method, sample_data, '')
    assert all(torch.equal(value, plain[name]) for name, value in measured.items())
    lines = (tmp_path / 'measured/work/curve.jsonl').read_text().splitlines()
    found = [values for values in map(json.loads, lines) if 'health/knn' in values]
    assert [(values['step'], values['health/knn']) for values in found] == [(5, 100), (10, 100)]


def loader(folder: Path, **dataset: object) -> dict:
    """The loader of ``HOOK``, which reads in this process."""
    namespace: dict = {}
    exec(HOOK.format(root=folder / 'imagenet', workers=0, k=1), namespace)
    namespace['loader']['dataset'].update(dataset)
    return namespace['loader']


def test_one_of_several_processes_reads_every_image(
    sample_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (0, 2))
    both = dict.fromkeys(('train_dataloader', 'val_dataloader'), loader(sample_data))
    built = build_loaders(Config(dict(both, randomness=dict(seed=0))))['train']
    assert sorted(built.batch_sampler.sampler) == list(range(len(built.dataset)))


@pytest.mark.parametrize(
    ('k', 'dataset', 'words'),
    [
        (41, {}, 'k=41 is more than there are images'),
        (1, dict(with_label=False), 'need the same classes'),
    ],
)
def test_images_that_cannot_be_measured_on_are_reported_before_training(
    sample_data: Path, k: int, dataset: dict, words: str
) -> None:
    images = loader(sample_data, **dataset)
    with pytest.raises(UserError, match=words):
        KnnHook(images, images, k=k).before_train(SimpleNamespace(cfg=Config(), seed=0))
