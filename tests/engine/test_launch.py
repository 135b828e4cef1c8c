"""What a launch takes from the environment and the config, and what it refuses."""

import os
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config, ConfigDict
from paths import CONFIGS
from quickstart import write_config
from torch.utils.data import DataLoader
from toy_run import toy_runner

from symmim_mm.apis.train import configure, train
from symmim_mm.config.load import load_config
from symmim_mm.engine.data_check import check_data
from symmim_mm.engine.launch import (
    RANK_VARIABLES,
    cache_config_format,
    init_cpu_processes,
    launched_runner,
    substitute_types,
)
from symmim_mm.engine.resume import was_restarted
from symmim_mm.utils.errors import Fault, UserError

PRETRAIN = CONFIGS / 'quickstart/symmim_pretrain.py'


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_that_did_not_start_the_process(monkeypatch, launcher: str) -> None:
    """Also on a GPU, where MMEngine reads its variables."""
    for name in chain(*RANK_VARIABLES.values()):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    problem = f'--launcher {launcher}: .* start the processes with'
    with pytest.raises(UserError, match=problem), launched_runner(Config(), launcher):
        pass


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
def test_impossible_ranks_are_refused(monkeypatch, name: str, value: str, limits: str) -> None:
    """A rank that no process has would wait for the others for ever."""
    ranks = dict(RANK='0', WORLD_SIZE='2', LOCAL_RANK='0', MASTER_PORT='29500', MASTER_ADDR='::1')
    for key, text in (ranks | {name: value}).items():
        monkeypatch.setenv(key, text)
    with pytest.raises(UserError, match=f"{name} in the environment .*, {limits}, got '{value}'"):
        init_cpu_processes('pytorch')


@pytest.mark.parametrize(
    ('value', 'expected'), [('', False), ('0', False), ('2', True), ('abc', True)]
)
def test_was_restarted(monkeypatch, value: str, expected: bool) -> None:
    monkeypatch.setenv('SLURM_RESTART_COUNT', value)
    assert was_restarted() == expected


@pytest.mark.parametrize(
    ('name', 'make', 'problem'),
    [
        ('x', lambda path: path.write_text(''), 'x is a file: name a folder'),
        ('x', os.mkfifo, 'x is a file: name a folder'),
        ('x', lambda path: path.symlink_to(path.with_name('none')), 'x is a link to nothing'),
        ('x', lambda path: path.symlink_to(path), 'x: Too many levels of symbolic links'),
        ('x' * 300, lambda path: None, 'File name too long: name another folder'),
        ('a\0b', lambda path: None, 'embedded null .*: name another folder'),
    ],
)
def test_impossible_work_dirs_are_refused(tmp_path: Path, name: str, make, problem: str) -> None:
    make(tmp_path / name)
    with pytest.raises(UserError, match=f'--work-dir .*{problem}'):
        load_config(PRETRAIN, work_dir=tmp_path / name, check_data=False)


def test_a_refused_run_leaves_the_config_of_the_other(sample_data: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, 'mae_pretrain', sample_data, 'recipe = dict(batch=8)\n')
    work = tmp_path / 'work'
    work.mkdir()
    (work / 'mae_pretrain.py').write_text('# of another run')
    (work / 'epoch_1.pth').touch()
    with pytest.raises(UserError, match='has checkpoints .* epoch_1.pth the newest: .* --resume'):
        train(config, work_dir=work)
    assert [path.name for path in work.glob('*.py')] == ['mae_pretrain.py']
    assert (work / 'mae_pretrain.py').read_text() == '# of another run'


def test_equal_config_texts_are_formatted_once(monkeypatch) -> None:
    from yapf.yapflib import yapf_api

    formatted = []
    original = yapf_api.FormatCode

    def counting(text: str, **options: object) -> tuple[str, bool]:
        formatted.append(text)
        return original(text, **options)

    monkeypatch.setattr(yapf_api, 'FormatCode', counting)
    cfg, other = Config(dict(a=dict(b=1))), Config(dict(a=dict(b=2)))
    expected = cfg.pretty_text, other.pretty_text
    formatted.clear()
    cache_config_format()
    cache_config_format()  # as every run of a process does
    assert [cfg.pretty_text, other.pretty_text, cfg.pretty_text] == [*expected, expected[0]]
    assert len(formatted) == 2


def test_only_mmengines_types_are_substituted() -> None:
    cfg = Config(
        dict(
            train_cfg=dict(type='IterBasedTrainLoop'),
            val_cfg=dict(),
            test_cfg=dict(type='TestLoop', fp16=True),
            optim_wrapper=dict(),
        )
    )
    substitute_types(cfg)
    ours = dict(
        train_cfg=dict(type='symmim_mm.ResumableIterLoop'),
        val_cfg=dict(type='symmim_mm.FaultReportingValLoop'),
        test_cfg=dict(type='symmim_mm.FaultReportingTestLoop', fp16=True),
        optim_wrapper=dict(type='symmim_mm.GuardedOptimWrapper'),
    )
    assert cfg.to_dict() == ours
    others = dict(
        train_cfg=dict(by_epoch=True), val_cfg=dict(type='MyLoop'), test_cfg=None,
        optim_wrapper=dict(type='MyWrapper'),
    )  # fmt: skip
    for unchanged in (ours, others):
        cfg = Config(unchanged)
        substitute_types(cfg)
        assert cfg.to_dict() == unchanged


def configured(data: Path, work_dir: Path, **options: str) -> Config:
    roots = ('train_dataloader.dataset.data_root', 'default_hooks.images.dataset.data_root')
    options = {**dict.fromkeys(roots, str(data / 'imagenet')), **options}
    return configure(PRETRAIN, work_dir=work_dir, cfg_options=options)


@pytest.mark.parametrize(
    ('field', 'registry'),
    [
        ('model.type', 'model'),
        ('model.backbone.type', 'model'),
        ('train_dataloader.dataset.type', 'dataset'),
        ('default_hooks.timer.type', 'hook'),
    ],
)
def test_unknown_types_are_reported(
    tmp_path: Path, sample_data: Path, field: str, registry: str
) -> None:
    cfg = configured(sample_data, tmp_path, **{field: 'Foo'})
    problem = f"config: type Foo is not in the registry '{registry}': correct it"
    with pytest.raises(UserError, match=problem), launched_runner(cfg, 'none') as runner:
        runner.train()


def test_full_disk_while_the_runner_is_built(
    tmp_path: Path, sample_data: Path, monkeypatch
) -> None:
    cfg = configured(sample_data, tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, 'No space left on device', str(tmp_path))

    monkeypatch.setattr('mmengine.config.Config.dump', full)
    problem = f'No space left on device: {tmp_path}: make room, then .* --resume'
    with pytest.raises(Fault, match=problem), launched_runner(cfg, 'none'):
        pass


@pytest.mark.parametrize(
    ('begin', 'end', 'fits'), [(0, 0.1, False), (0, 0.2, True), (0, 1, True), (2, 2.1, False)]
)
def test_warm_up_of_less_than_an_iteration(
    tmp_path: Path, begin: float, end: float, fits: bool
) -> None:
    """5 iterations an epoch; MMEngine rounds down and ends with a traceback at zero."""
    runner = toy_runner(tmp_path, epochs=3)
    schedule = dict(type='LinearLR', convert_to_iter_based=True, begin=begin, end=end)
    runner.cfg.param_scheduler = ConfigDict(schedule)  # or a list of them
    if fits:
        return check_data(runner)
    with pytest.raises(UserError, match=f'{end} epochs are less than an iteration where an epoch'):
        check_data(runner)


@pytest.mark.parametrize('val', [('Cat', 'dog'), ('cat', 'dog', 'fox'), ('dog', 'cat')])
def test_classes_of_train_and_val_differ(val: tuple[str, ...]) -> None:
    """Labels are numbers: another set of folders would shift them."""

    class Named(list):
        def __init__(self, classes: tuple[str, ...]) -> None:
            super().__init__([0])
            self.metainfo = dict(classes=classes)

    loops = [
        SimpleNamespace(dataloader=DataLoader(Named(classes))) for classes in (('cat', 'dog'), val)
    ]
    runner = SimpleNamespace(model=torch.nn.Identity(), train_loop=loops[0], val_loop=loops[1])
    with pytest.raises(UserError, match='train and val data differ in classes'):
        check_data(runner)
