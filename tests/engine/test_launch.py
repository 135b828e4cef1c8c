"""What a launch takes from the environment and the command line, and what it refuses."""

import os
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from command_lines import train_arguments
from mmengine.config import Config
from paths import ROOT

from symmim_mm.apis.train import configure
from symmim_mm.config.load import load_config
from symmim_mm.engine.faults import was_restarted
from symmim_mm.engine.launch import join_on_cpu, place_of, runner_of, set_threads
from symmim_mm.utils.errors import Fault, UserError


@pytest.mark.parametrize(
    ('text', 'threads'), [('2', 2), ('3,1', 3), (' 2 ', 2), ('', 1), (None, 1)]
)
def test_number_of_threads(monkeypatch, text: str | None, threads: int) -> None:
    if text is None:
        monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    else:
        monkeypatch.setenv('OMP_NUM_THREADS', text)
    set_threads()
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize('text', ['abc', '0', '-1', '1.5', '²', 'a,2'])
def test_no_number_of_threads(monkeypatch, text: str) -> None:
    monkeypatch.setenv('OMP_NUM_THREADS', text)
    with pytest.raises(UserError, match='OMP_NUM_THREADS must be a number of threads above 0'):
        set_threads()


def test_place_of_a_process(monkeypatch) -> None:
    for name, value in dict(RANK='3', WORLD_SIZE='4', LOCAL_RANK='1').items():
        monkeypatch.setenv(name, value)
    assert place_of('pytorch') == (3, 4, 1)


@pytest.mark.parametrize(
    ('name', 'value', 'limits'),
    [
        ('RANK', 'abc', '0 to 1'),
        ('RANK', '5', '0 to 1'),
        ('RANK', '-1', '0 to 1'),
        ('WORLD_SIZE', '0', 'at least 1'),
        ('WORLD_SIZE', '', 'at least 1'),
        ('LOCAL_RANK', '2', '0 to 1'),
        ('MASTER_PORT', '99999999', '1 to 65535'),
    ],
)
def test_places_that_cannot_be(monkeypatch, name: str, value: str, limits: str) -> None:
    """A rank that nobody has would wait for the others for ever."""
    places = dict(RANK='0', WORLD_SIZE='2', LOCAL_RANK='0', MASTER_PORT='29500', MASTER_ADDR='::1')
    for key, text in (places | {name: value}).items():
        monkeypatch.setenv(key, text)
    with pytest.raises(UserError, match=f"{name} in the environment .*, {limits}, got '{value}'"):
        join_on_cpu('pytorch')


@pytest.mark.parametrize(
    ('value', 'expected'), [('', False), ('0', False), ('2', True), ('abc', True)]
)
def test_started_again(monkeypatch, value: str, expected: bool) -> None:
    monkeypatch.setenv('SLURM_RESTART_COUNT', value)
    assert was_restarted() == expected


@pytest.mark.parametrize(
    ('make', 'told'),
    [
        (lambda place: place.write_text(''), 'is a file: name a folder'),
        (lambda place: os.mkfifo(place), 'is a file: name a folder'),
        (lambda place: place.symlink_to(place.with_name('none')), 'is a link to nothing'),
        (lambda place: place.symlink_to(place), 'Too many levels of symbolic links'),
    ],
)
def test_work_dirs_that_are_none(tmp_path: Path, make, told: str) -> None:
    make(tmp_path / 'place')
    with pytest.raises(UserError, match=f'--work-dir .*place:? {told}'):
        load(str(tmp_path / 'place'))


@pytest.mark.parametrize(
    ('name', 'told'), [('x' * 300, 'File name too long'), ('a\0b', 'embedded null byte')]
)
def test_names_that_no_folder_can_have(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(UserError, match=f'--work-dir .*: {told}: name another folder'):
        load(str(tmp_path / name))


def load(work_dir: str) -> None:
    config = ROOT / 'configs/quickstart/symmim_pretrain.py'
    load_config(
        Namespace(config=str(config), work_dir=work_dir, cfg_options=None, seed=None),
        check_data=False,
    )


def config_on(data: Path, work_dir: Path, **more: str) -> Config:
    options = {
        'train_dataloader.dataset.data_root': data,
        'default_hooks.pictures.dataset.data_root': data,
        **more,
    }
    return configure(train_arguments('quickstart/symmim_pretrain', work_dir, options=options))


@pytest.mark.parametrize(
    ('field', 'registry'),
    [
        ('model.type', 'model'),
        ('model.backbone.type', 'model'),
        ('train_dataloader.dataset.type', 'dataset'),
        ('default_hooks.timer.type', 'hook'),
    ],
)
def test_a_type_that_nobody_registered(
    tmp_path: Path, sample_data: Path, field: str, registry: str
) -> None:
    cfg = config_on(sample_data / 'imagenet', tmp_path, **{field: 'Foo'})
    told = f"config: type Foo is not in the registry '{registry}': correct it"
    with pytest.raises(UserError, match=told), runner_of(cfg, 'none') as runner:
        runner.train()


def test_a_disk_that_is_full_from_the_start(tmp_path: Path, sample_data: Path, monkeypatch) -> None:
    """What building a runner meets is told as what its training meets."""
    cfg = config_on(sample_data / 'imagenet', tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, 'No space left on device', str(tmp_path))

    monkeypatch.setattr('mmengine.config.Config.dump', full)
    told = f'No space left on device: {tmp_path}: make room, then continue with --resume'
    with pytest.raises(Fault, match=told), runner_of(cfg, 'none'):
        pass
