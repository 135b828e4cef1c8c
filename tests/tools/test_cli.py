"""Commands as a user runs them: help, mistakes, one short run of each kind."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from paths import ROOT

from symmim_mm import cli
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.config.load import add_run_arguments, load_config
from symmim_mm.utils.errors import UserError

TOOLS = sorted(path.name for path in (ROOT / 'tools').glob('*.py'))


@pytest.mark.parametrize('name', TOOLS)
def test_help(tool, name: str) -> None:
    result = tool(name, '--help')
    assert result.returncode == 0, result.stderr
    assert 'usage:' in result.stdout


def one_line(result, *words: str) -> None:
    """The command failed with one clear line that holds the words."""
    assert result.returncode == 2, result.stdout + result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1, result.stderr
    assert 'Traceback' not in result.stderr
    for word in words:
        assert word in lines[0], lines[0]


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


def test_an_interrupt_that_a_library_took_for_something_else(monkeypatch, capsys) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', interrupted)
    monkeypatch.setattr(sys, 'argv', ['tool'])
    with pytest.raises(SyntaxError):
        _ = Config(dict(a=1)).pretty_text
    with pytest.raises(SystemExit) as ended:
        cli.run(lambda args: Config(dict(a=1)).pretty_text, argparse.ArgumentParser())
    assert ended.value.code == 130 and capsys.readouterr().err == 'interrupted\n'
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda args: 1 / 0, argparse.ArgumentParser())


@pytest.fixture
def data(sample_data: Path) -> list[str]:
    """Options that point the quickstart's configs at the small data set."""
    root = sample_data / 'imagenet'
    return [f'{split}_dataloader.dataset.data_root={root}' for split in ('train', 'val')]


PRETRAIN = 'configs/quickstart/symmim_pretrain.py'
FINETUNE = 'configs/quickstart/finetune.py'


@pytest.mark.slow
def test_wrong_paths(tool, tmp_path: Path, data) -> None:
    one_line(tool('train.py', 'configs/none.py'), 'configs/none.py does not exist')
    one_line(
        tool('train.py', FINETUNE, '--backbone', 'no.pth', '--cfg-options', *data),
        '--backbone no.pth does not exist',
    )
    missing = tmp_path / 'nowhere'
    one_line(
        tool('train.py', PRETRAIN, '--work-dir', tmp_path / 'w', '--cfg-options',
             f'train_dataloader.dataset.data_root={missing}'),
        str(missing), 'does not exist',
    )  # fmt: skip
    one_line(
        tool('train.py', PRETRAIN, '--work-dir', tmp_path / 'w', '--cfg-options', *data),
        'val_dataloader cannot be set without val_cfg and val_evaluator',
    )
    # Told before the training, though these are drawn at its end.
    run = tmp_path / 'held_out'
    one_line(
        tool('train.py', PRETRAIN, '--work-dir', run, '--cfg-options', data[0], 'recipe.batch=8',
             f'default_hooks.pictures.dataset.data_root={missing}'),
        str(missing),
    )  # fmt: skip
    assert not list(run.glob('*.pth'))
    assert not (tmp_path / 'w' / 'result.json').exists()


@pytest.mark.parametrize(
    ('option', 'problem'),
    [
        ('method=None', 'run.method must be a text in UTF-8, got None'),
        ('method=5', 'run.method must be a text in UTF-8, got 5'),
        ('method=', 'run.method must be a text'),
        ('dataset=a\udcff', 'run.dataset must be a text in UTF-8'),
        ('task=zz', 'run.task must be one of pretrain, .*, got zz'),
    ],
)
def test_what_a_record_takes_from_the_config(data, option: str, problem: str) -> None:
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    args = parser.parse_args([PRETRAIN, '--cfg-options', *data, f'run.{option}'])
    with pytest.raises(UserError, match=problem):
        load_config(args)


@pytest.mark.slow
def test_image_size_that_the_patch_size_does_not_divide(tool, data) -> None:
    for config in (PRETRAIN, FINETUNE):
        result = tool('train.py', config, '--cfg-options', *data, 'model.backbone.img_size=60')
        one_line(result, 'image size 60', 'use 56 or 64')


@pytest.mark.slow
def test_an_empty_folder(tool, tmp_path: Path, data) -> None:
    (tmp_path / 'empty' / 'train').mkdir(parents=True)
    one_line(
        tool('train.py', PRETRAIN, '--work-dir', tmp_path / 'w', '--cfg-options',
             f'train_dataloader.dataset.data_root={tmp_path / "empty"}'),
        'no pictures', str(tmp_path / 'empty'),
    )  # fmt: skip


@pytest.mark.slow
def test_another_class_count(tool, tmp_path: Path, data) -> None:
    one_line(
        tool('train.py', FINETUNE, '--work-dir', tmp_path / 'w', '--cfg-options', *data,
             'model.head.num_classes=7'),
        'num_classes=7', '10 classes',
    )  # fmt: skip


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> Path:
    """A checkpoint of the quickstart's SymMIM with fresh weights."""
    from mmengine.config import Config
    from mmengine.registry import MODELS, init_default_scope

    init_default_scope('mmpretrain')
    model = MODELS.build(Config.fromfile(ROOT / PRETRAIN).model)
    model.init_weights()
    file = tmp_path_factory.mktemp('checkpoint') / 'fresh.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), file)
    return file


@pytest.mark.slow
def test_a_checkpoint_of_another_size(tool, tmp_path: Path, data, checkpoint: Path) -> None:
    one_line(
        tool('train.py', FINETUNE, '--work-dir', tmp_path / 'w', '--backbone', checkpoint,
             '--cfg-options', *data, 'recipe.batch=8', 'model.backbone.arch.num_layers=4'),
        'ViT of another size', '128 wide, 6 layers', '4 layers',
    )  # fmt: skip


@pytest.mark.slow
def test_a_checkpoint_is_not_for_a_pretraining(tool, data, checkpoint: Path) -> None:
    result = tool('train.py', PRETRAIN, '--backbone', checkpoint, '--cfg-options', data[0])
    one_line(result, 'from scratch')


@pytest.mark.slow
def test_pretrain_then_transfer(tool, tmp_path: Path, data) -> None:
    """Two epochs of SymMIM, resumed in between, then fine-tuning, k-NN and linear from it."""
    train = data[:1]
    held_out = f'default_hooks.pictures.dataset.data_root={data[0].split("=")[1]}'
    short = ['recipe.batch=8', 'recipe.lr_batch=8', held_out, *train]
    run = tmp_path / 'symmim'
    result = tool('train.py', PRETRAIN, '--work-dir', run, '--seed', '3', '--cfg-options',
                  'recipe.epochs=2', *short)  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    record = json.loads((run / 'result.json').read_text())
    assert (record['method'], record['task'], record['seed']) == ('symmim', 'pretrain', 3)
    assert record['images'] == 2 * 40
    assert (run / record['checkpoint']).is_file()
    assert len(record['pictures']) == 6
    result = tool('train.py', PRETRAIN, '--work-dir', run, '--seed', '3', '--resume',
                  '--cfg-options', 'recipe.epochs=2', 'model.backbone.arch.embed_dims=64',
                  *short)  # fmt: skip
    one_line(result, f'--resume: {run / record["checkpoint"]} does not belong to this config',
             'backbone.cls_token is (1, 1, 128) there and (1, 1, 64) here')  # fmt: skip
    again = tmp_path / 'again'
    tool('train.py', PRETRAIN, '--work-dir', again, '--seed', '3', '--cfg-options',
         'recipe.epochs=2', *short)  # fmt: skip
    repeated = json.loads((again / 'result.json').read_text())
    assert repeated['metrics'] == record['metrics']

    backbone = run / record['checkpoint']
    result = tool('train.py', FINETUNE, '--work-dir', tmp_path / 'ft', '--backbone', backbone,
                  '--cfg-options', *data, 'recipe.epochs=1', 'recipe.warmup_epochs=0',
                  'recipe.batch=8', 'train_cfg.val_interval=1')  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    assert '78 tensors loaded' not in result.stderr  # the final norm is not used here
    tuned = json.loads((tmp_path / 'ft' / 'result.json').read_text())
    assert (tuned['method'], tuned['parent']) == ('symmim', 'symmim')
    assert tuned['chance'] == {'top1': 10.0}
    finished = tmp_path / 'ft' / tuned['checkpoint']
    options = [*data, data[1].replace('val_', 'test_', 1)]
    result = tool('test.py', FINETUNE, finished, '--work-dir', tmp_path / 'test', '--cfg-options',
                  *options)  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    assert f'accuracy/top1: {tuned["metrics"]["top1"]:.4f}' in result.stdout + result.stderr
    result = tool('test.py', FINETUNE, backbone, '--work-dir', tmp_path / 'test', '--cfg-options',
                  *options)  # fmt: skip
    one_line(result, 'does not fit')
    for name in ('knn', 'linear'):
        result = tool(f'{name}.py', f'configs/quickstart/{name}.py', '--work-dir', tmp_path / name,
                      '--backbone', backbone, '--cfg-options', *data)  # fmt: skip
        assert result.returncode == 0, result.stderr[-2000:]
        frozen = json.loads((tmp_path / name / 'result.json').read_text())
        assert frozen['backbone_sha256'] == record['checkpoint_sha256']
        assert 0 <= frozen['metrics']['top1'] <= 100


@pytest.mark.slow
def test_a_killed_pretraining_goes_on_to_the_same_weights(tool, tmp_path: Path, data) -> None:
    """kill -9 after the first checkpoint, then --resume: bit for bit what an unbroken run gives."""
    held_out = f'default_hooks.pictures.dataset.data_root={data[0].split("=")[1]}'
    options = ['--cfg-options', 'recipe.epochs=6', 'recipe.batch=8', data[0], held_out]
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    assert tool('train.py', PRETRAIN, '--work-dir', whole, *options).returncode == 0
    process = subprocess.Popen(
        [sys.executable, 'tools/train.py', PRETRAIN, '--work-dir', str(broken), *options],
        cwd=ROOT, env={**os.environ, 'OMP_NUM_THREADS': '1'}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (broken / 'last_checkpoint').exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (broken / 'result.json').exists()
    result = tool('train.py', PRETRAIN, '--work-dir', broken, '--resume', *options)
    assert result.returncode == 0, result.stderr[-2000:]
    assert 'resumed epoch:' in result.stdout + result.stderr
    states = [read_checkpoint(folder / 'epoch_6.pth')['state_dict'] for folder in (whole, broken)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


@pytest.mark.slow
def test_visualize(tool, tmp_path: Path, checkpoint: Path, sample_data: Path) -> None:
    import cv2

    picture = next((sample_data / 'imagenet' / 'val').rglob('*.png'))
    calls = {
        'masks': [PRETRAIN],
        'reconstruct': [PRETRAIN, checkpoint, picture],
        'attention': [PRETRAIN, checkpoint, picture],
    }
    for kind, arguments in calls.items():
        result = tool('visualize.py', kind, *arguments, '--out', tmp_path)
        assert result.returncode == 0, result.stderr[-2000:]
        image = cv2.imread(str(tmp_path / f'{kind}_0.png'))
        assert image.shape[1] > image.shape[0]
        assert image.std() > 5
    one_line(tool('visualize.py', 'reconstruct', PRETRAIN, checkpoint, 'none.png'), 'none.png')


@pytest.mark.slow
def test_two_processes_on_the_cpu(tmp_path: Path, data) -> None:
    """``dist_train.sh CONFIG 2`` splits the global batch and leaves one record."""
    held_out = f'default_hooks.pictures.dataset.data_root={data[0].split("=")[1]}'
    result = subprocess.run(
        ['tools/dist_train.sh', PRETRAIN, '2', '--work-dir', str(tmp_path), '--cfg-options',
         'recipe.epochs=1', 'recipe.batch=8', 'recipe.warmup_epochs=0', data[0], held_out],
        cwd=ROOT, env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    record = json.loads((tmp_path / 'result.json').read_text())
    assert record['hardware']['world_size'] == 2
    assert record['images'] == 40
    assert len(record['pictures']) == 6
