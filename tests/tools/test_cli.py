"""Commands as a user runs them: help, mistakes, one short run of each kind."""

import argparse
import gc
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from paths import ROOT
from processes import error_line

from symmim_mm import cli
from symmim_mm.config.file import CONFIGS, find_config
from symmim_mm.utils.warm_start import importing_libraries

TOOLS = sorted(path.name for path in (ROOT / 'tools').glob('[!_]*.py'))
PRETRAIN = 'configs/quickstart/symmim_pretrain.py'
FINETUNE = 'configs/quickstart/finetune.py'


@pytest.mark.parametrize('name', TOOLS)
def test_help(tool, name: str) -> None:
    """Every tool starts; its parser has one place, whatever the name it is called by."""
    result = tool(name, '--help')
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f'usage: tools/{name} ')


def test_the_console_command_imports_no_library_for_its_help() -> None:
    code = (
        'import sys; from symmim_mm.cli import main\n'
        'try: main()\n'
        "finally: print([name for name in ('torch', 'mmengine', 'numpy') if name in sys.modules])"
    )
    for words in (['--help'], ['train', '--help'], ['suite', '--help'], ['export', '--help']):
        done = subprocess.run([sys.executable, '-c', code, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f'usage: {" ".join(["symmim", *words[:-1]])} ')
        assert done.stdout.endswith('\n[]\n')
    done = subprocess.run([sys.executable, '-m', 'symmim_mm.cli', 'x'], capture_output=True)
    assert done.returncode == 2 and b"invalid choice: 'x'" in done.stderr


def test_imports_pause_garbage_collection_and_no_more() -> None:
    before = gc.get_freeze_count()
    with pytest.raises(ImportError), importing_libraries():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled() and gc.get_freeze_count() > before
    gc.unfreeze()


def test_a_tool_without_its_libraries_says_what_to_activate(tmp_path: Path) -> None:
    """``-S``: a Python without site-packages."""
    (tmp_path / 'tools').mkdir()
    for name in ('_start.py', 'train.py'):
        (tmp_path / 'tools' / name).write_text((ROOT / 'tools' / name).read_text())
    command = [sys.executable, '-S', str(tmp_path / 'tools' / 'train.py'), 'x', '--seed', '1']
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and done.stderr.count('\n') == 1
    assert 'run `make setup`, or activate' in done.stderr
    python = tmp_path / '.venv' / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout == f'{command[2]} x --seed 1\n'


def test_configs_are_found_by_path_and_by_name(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert find_config(PRETRAIN) == PRETRAIN
    assert find_config('quickstart/symmim_pretrain') == PRETRAIN
    monkeypatch.chdir(tmp_path)
    assert find_config('symmim/vit_b_pretrain') == str(CONFIGS / 'symmim' / 'vit_b_pretrain.py')
    assert find_config('configs/suites/quickstart.yaml') == str(CONFIGS / 'suites/quickstart.yaml')
    assert find_config('no/such') == 'no/such'
    for part in ('detection', 'symmim'):  # what a wheel takes along is what the repository has
        names = {path.name for path in (CONFIGS / part).iterdir()}
        assert names == {path.name for path in (ROOT / 'configs' / part).iterdir()}


@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_an_error_is_written_in_one_piece(unbuffered: str) -> None:
    """So that the lines of several ranks on one stderr cannot run together.

    Each write to a socket of packets is a packet.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        code = "from symmim_mm.utils.errors import print_error; print_error('a\\n b')"
        environ = {**os.environ, 'PYTHONUNBUFFERED': unbuffered}
        subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=environ, stderr=theirs,
                       check=True)  # fmt: skip
        theirs.shutdown(socket.SHUT_WR)
        assert [ours.recv(100), ours.recv(100)] == [b'error: a b\n', b'']


def test_an_interrupt_that_a_library_wrapped_in_another_error(monkeypatch, capsys) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', interrupted)
    with pytest.raises(SyntaxError):
        _ = Config(dict(a=1)).pretty_text
    with pytest.raises(SystemExit) as ended:
        cli.run(lambda args: Config(dict(a=1)).pretty_text, argparse.ArgumentParser, [])
    assert ended.value.code == 130 and capsys.readouterr().err == 'interrupted\n'
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda args: 1 / 0, argparse.ArgumentParser, [])


def test_a_port_that_cannot_be(capsys) -> None:
    with pytest.raises(SystemExit):
        cli.run_command('app', 'app', ['run', '--port', '70000'])
    assert capsys.readouterr().err == 'error: --port must be from 1 to 65535, got 70000\n'


@pytest.fixture
def data(sample_data: Path) -> list[str]:
    """Options that point the quickstart's configs at the small dataset."""
    root = sample_data / 'imagenet'
    return [f'{split}_dataloader.dataset.data_root={root}' for split in ('train', 'val')]


@pytest.fixture
def train_fails(monkeypatch, capsys, tmp_path: Path):
    """Run ``train`` in this process: one ``error:`` line with the given words, no record."""
    monkeypatch.chdir(ROOT)

    def call(*words: object, problem: tuple[str, ...]) -> None:
        words = [str(word) for word in words]
        at = words.index('--cfg-options') if '--cfg-options' in words else len(words)
        words[at:at] = ['--work-dir', str(tmp_path / 'w')]
        with pytest.raises(SystemExit) as ended:
            cli.run_command('train', 'train', words)
        assert ended.value.code == 2
        error = capsys.readouterr().err
        lines = [line for line in error.splitlines() if line.startswith('error: ')]
        assert len(lines) == 1 and 'Traceback' not in error, error
        assert all(part in lines[0] for part in problem), lines[0]
        assert not list(tmp_path.glob('w/*.pth')) and not (tmp_path / 'w/result.json').exists()

    return call


def test_wrong_paths(train_fails, tmp_path: Path, data) -> None:
    train_fails('configs/none.py', problem=('configs/none.py does not exist',))
    train_fails(FINETUNE, '--backbone', 'no.pth', '--cfg-options', *data,
                problem=('--backbone no.pth does not exist',))  # fmt: skip
    missing = tmp_path / 'nowhere'
    train_fails(PRETRAIN, '--cfg-options', f'train_dataloader.dataset.data_root={missing}',
                problem=(str(missing), 'does not exist'))  # fmt: skip
    train_fails(PRETRAIN, '--cfg-options', *data,
                problem=('val_dataloader cannot be set without val_cfg',))  # fmt: skip
    # Found before the training, though these images are drawn at its end.
    train_fails(PRETRAIN, '--cfg-options', data[0], 'recipe.batch=8',
                f'default_hooks.images.dataset.data_root={missing}',
                problem=(str(missing),))  # fmt: skip
    (tmp_path / 'empty' / 'train').mkdir(parents=True)
    train_fails(PRETRAIN, '--cfg-options',
                f'train_dataloader.dataset.data_root={tmp_path / "empty"}',
                problem=('no images', str(tmp_path / 'empty')))  # fmt: skip


@pytest.mark.parametrize(
    ('option', 'problem'),
    [
        ('method=None', 'run.method: should be a valid string, got None'),
        ('method=5', 'run.method: should be a valid string, got 5'),
        ('method=', 'run.method: must be a string in UTF-8'),
        ('dataset=a\udcff', 'run.dataset: '),
        ('task=zz', "run.task: should be 'pretrain', "),
    ],
)
def test_what_a_record_takes_from_the_config(train_fails, data, option: str, problem: str) -> None:
    train_fails(PRETRAIN, '--cfg-options', *data, f'run.{option}', problem=(problem,))


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> Path:
    """A checkpoint of the quickstart's SymMIM with fresh weights."""
    return fresh_checkpoint(PRETRAIN, tmp_path_factory.mktemp('checkpoint'))


def fresh_checkpoint(config: str, folder: Path) -> Path:
    init_default_scope('mmpretrain')
    model = MODELS.build(Config.fromfile(ROOT / config).model)
    file = folder / 'fresh.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), file)
    return file


def test_models_that_do_not_fit(train_fails, data, checkpoint: Path) -> None:
    for config in (PRETRAIN, FINETUNE):
        train_fails(config, '--cfg-options', *data, 'model.backbone.img_size=60',
                    problem=('image size 60', 'use 56 or 64'))  # fmt: skip
    train_fails(FINETUNE, '--cfg-options', *data, 'model.head.num_classes=7',
                problem=('num_classes=7', '10 classes'))  # fmt: skip
    train_fails(FINETUNE, '--backbone', checkpoint, '--cfg-options', *data, 'recipe.batch=8',
                'model.backbone.arch.num_layers=2',
                problem=('128 wide with 2 layers', 'take the config of its size'))  # fmt: skip


@pytest.mark.slow
def test_pretrain_then_transfer(tool, tmp_path: Path, data) -> None:
    """Two epochs of SymMIM, a resumption that does not fit, a fine-tuning and its test."""

    def run(name: str, config: str, work_dir: Path, *words: str | Path) -> dict:
        result = tool(name, config, '--work-dir', work_dir, *words)
        assert result.returncode == 0, result.stderr[-2000:]
        return json.loads((work_dir / 'result.json').read_text())

    held_out = f'default_hooks.images.dataset.data_root={data[0].split("=")[1]}'
    short = ['--cfg-options', 'recipe.epochs=2', 'recipe.batch=8', 'recipe.lr_batch=8', held_out,
             data[0]]  # fmt: skip
    first = tmp_path / 'symmim'
    record = run('train.py', PRETRAIN, first, '--seed', '3', *short)
    assert (record['method'], record['task'], record['seed']) == ('symmim', 'pretrain', 3)
    assert record['images'] == 2 * 40
    assert (first / record['checkpoint']).is_file()
    assert len(record['figures']) == 6
    result = tool('train.py', PRETRAIN, '--work-dir', first, '--seed', '3', '--resume',
                  *short, 'model.backbone.arch.embed_dims=64')  # fmt: skip
    error_line(result, f'--resume: {first / record["checkpoint"]} does not belong to this config',
               'backbone.cls_token is (1, 1, 128) ')  # fmt: skip

    backbone = first / record['checkpoint']
    tuned = run('train.py', FINETUNE, tmp_path / 'ft', '--backbone', backbone, '--cfg-options',
                *data, 'recipe.epochs=1', 'recipe.warmup_epochs=0', 'recipe.batch=8',
                'train_cfg.val_interval=1')  # fmt: skip
    assert (tuned['method'], tuned['parent']) == ('symmim', 'symmim')
    assert tuned['chance'] == {'top1': 10.0}
    words = ['--work-dir', tmp_path / 'test', '--cfg-options', *data,
             data[1].replace('val_', 'test_', 1)]  # fmt: skip
    result = tool('test.py', FINETUNE, tmp_path / 'ft' / tuned['checkpoint'], *words)
    assert result.returncode == 0, result.stderr[-2000:]
    assert f'accuracy/top1: {tuned["metrics"]["top1"]:.4f}' in result.stdout + result.stderr
    error_line(tool('test.py', FINETUNE, backbone, *words), 'does not fit')

    # The config that the run wrote: testing leaves the record, training names the original.
    written = tmp_path / 'ft' / Path(FINETUNE).name
    before = (tmp_path / 'ft' / 'result.json').read_bytes()
    result = tool('test.py', written, tmp_path / 'ft' / tuned['checkpoint'], *words)
    assert result.returncode == 0, result.stderr[-2000:]
    assert (tmp_path / 'ft' / 'result.json').read_bytes() == before
    error_line(tool('train.py', written, *words), FINETUNE)


def test_visualize(monkeypatch, capsys, tmp_path: Path, checkpoint: Path, sample_data) -> None:
    monkeypatch.chdir(ROOT)
    image = str(next((sample_data / 'imagenet' / 'val').rglob('*.png')))
    calls = {
        'masks': [PRETRAIN],
        'reconstruct': [PRETRAIN, str(checkpoint), image],
        'similarity': [PRETRAIN, str(checkpoint), image],
        'attention': [PRETRAIN, str(checkpoint), image],
    }
    for kind, words in calls.items():
        cli.run_command('visualize', 'visualize', [kind, *words, '--out', str(tmp_path)])
        assert capsys.readouterr().out == f'{tmp_path}/{kind}_0.png\n'
        drawn = cv2.imread(str(tmp_path / f'{kind}_0.png'))
        assert drawn.shape[1] > drawn.shape[0] and drawn.std() > 5
    with pytest.raises(SystemExit):
        words = ['reconstruct', PRETRAIN, str(checkpoint), 'none.png', '--out', str(tmp_path)]
        cli.run_command('visualize', 'visualize', words)
    assert 'error: ' in (error := capsys.readouterr().err) and 'none.png' in error
    with pytest.raises(SystemExit):
        options = ['--cfg-options', 'model.backbone.arch.num_layers=2']
        cli.run_command('visualize', 'visualize', ['reconstruct', *calls['reconstruct'], *options])
    assert 'does not fit' in capsys.readouterr().err
    with pytest.raises(SystemExit):  # dense encoding trains no class token
        config = 'configs/quickstart/symmim_literal_pretrain.py'
        dense = str(fresh_checkpoint(config, tmp_path))
        words = ['attention', config, dense, image, '--out', str(tmp_path)]
        cli.run_command('visualize', 'visualize', words)
    assert 'draw similarity' in capsys.readouterr().err
