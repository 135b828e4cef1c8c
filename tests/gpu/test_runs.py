"""Every training of a user, on a GPU: pre-trained, stopped, resumed, compiled, carried over."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from processes import free_ports
from quickstart import write_config

from symmim_mm.apis.train import configure
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.engine.launch import launched_runner
from symmim_mm.engine.runner.fsdp import use_fsdp

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

METHODS = ('symmim', 'mae', 'simmim')
EPOCHS = """\
recipe = dict(epochs=2, batch=8, max_batch_per_gpu=4, warmup_epochs=0)
default_hooks = dict(checkpoint=dict(interval=1))
"""
ITERATIONS = """\
recipe = dict(iterations=4, warmup_iterations=0)
train_cfg = dict(val_interval=4)
default_hooks = dict(checkpoint=dict(interval=4))
"""


def recorded(kill_at: int = -1) -> str:
    hook = dict(type='StreamHook', kill_at=kill_at)
    return f"custom_imports = dict(imports=['stream_hook'])\ncustom_hooks = [{hook}]\n"


def pretrain_config(folder: Path, method: str, data: Path, changes: str = '') -> str:
    folder.mkdir()
    return write_config(folder, f'{method}_pretrain', data, EPOCHS + changes)


def stream(folder: Path) -> dict[int, dict]:
    """Return the last line of every iteration."""
    lines = map(json.loads, (folder / 'stream.jsonl').read_text().splitlines())
    return {line.pop('iteration'): line for line in lines}


def succeed(done) -> None:
    assert done.returncode == 0, done.stderr[-3000:]


class Runs(dict[str, Path]):
    """Work directories of a whole pre-training of each method, which is run where one is needed."""

    def __init__(self, pretrain: Callable[[str], Path]) -> None:
        self.pretrain = pretrain

    def __missing__(self, method: str) -> Path:
        self[method] = self.pretrain(method)
        return self[method]


@pytest.fixture(scope='module')
def runs(command, amp, sample_data: Path, tmp_path_factory) -> Runs:
    def pretrain(method: str) -> Path:
        place = tmp_path_factory.mktemp(method)
        config = pretrain_config(place / 'whole', method, sample_data, recorded())
        succeed(command('train.py', config, '--work-dir', place / 'work', *amp))
        return place / 'work'

    return Runs(pretrain)


@pytest.mark.parametrize('method', METHODS)
def test_a_killed_training_resumes_with_the_same_images_and_masks(
    method: str, runs, command, amp, device, sample_data: Path, tmp_path: Path
) -> None:
    """SymMIM's memory of keys, too. Sums on a GPU have no order: losses may differ a little."""
    killed = pretrain_config(tmp_path / 'killed', method, sample_data, recorded(kill_at=13))
    whole = pretrain_config(tmp_path / 'whole', method, sample_data, recorded())
    done = command('train.py', killed, '--work-dir', tmp_path / 'work', *amp)
    assert done.returncode != 0 and 12 in stream(tmp_path / 'work')
    succeed(command('train.py', whole, '--work-dir', tmp_path / 'work', '--resume', *amp))
    wanted, found = stream(runs[method]), stream(tmp_path / 'work')
    assert found.keys() == wanted.keys() == set(range(20))
    for key in wanted:
        assert found[key]['inputs'] == wanted[key]['inputs']
        assert found[key]['masks'] == wanted[key]['masks'] and wanted[key]['masks']
        tolerance = 0.02 if device.type == 'cuda' else 0
        assert found[key]['loss'] == pytest.approx(wanted[key]['loss'], rel=tolerance)


@pytest.mark.parametrize('method', METHODS)
def test_a_run_records_its_machine(method: str, runs, device: torch.device) -> None:
    record = json.loads((runs[method] / 'result.json').read_text())
    if device.type == 'cuda':
        assert record['hardware']['gpu'] == torch.cuda.get_device_name(0)
        assert record['peak_memory_mib'] > 0


@pytest.mark.parametrize('method', METHODS)
def test_compiled(method: str, runs, command, amp, sample_data: Path, tmp_path: Path) -> None:
    """The compiled model trains on, and its checkpoint has the same names."""
    config = pretrain_config(tmp_path / 'c', method, sample_data, recorded())
    done = command('train.py', config, '--work-dir', tmp_path / 'work', '--compile', *amp)
    succeed(done)
    names = [
        set(read_checkpoint(folder / 'epoch_2.pth')['state_dict'])
        for folder in (runs[method], tmp_path / 'work')
    ]
    assert names[0] == names[1]
    wanted, found = stream(runs[method]), stream(tmp_path / 'work')
    assert all(found[key]['inputs'] == wanted[key]['inputs'] for key in wanted)
    assert found[0]['loss'] == pytest.approx(wanted[0]['loss'], rel=0.02)


# What a GPU computes after the start does not depend on the method.
@pytest.mark.parametrize(
    ('name', 'method'),
    [
        *((name, 'symmim') for name in ('finetune', 'mask_rcnn', 'upernet')),
        *(('finetune', method) for method in ('mae', 'simmim')),
    ],
)
def test_transfers(
    name: str, method: str, runs, command, amp, sample_data: Path, tmp_path: Path
) -> None:
    changes = ITERATIONS
    if name == 'finetune':
        changes = 'recipe = dict(epochs=1, batch=8, warmup_epochs=0)\n'
        changes += 'train_cfg = dict(val_interval=1)\n'
    config = write_config(tmp_path, name, sample_data, changes)
    backbone = runs[method] / 'epoch_2.pth'
    done = command(
        'train.py', config, '--work-dir', tmp_path / 'work', '--backbone', backbone, *amp
    )
    succeed(done)
    record = json.loads((tmp_path / 'work/result.json').read_text())
    assert record['metrics'], record


@pytest.mark.parametrize('name', ['knn', 'linear'])
def test_frozen_features(name: str, runs, command, sample_data: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, name, sample_data)
    words = ['--backbone', runs['symmim'] / 'epoch_2.pth', '--work-dir', tmp_path / 'work']
    succeed(command(f'{name}.py', config, *words))


def test_sharded_on_one_device(
    runs, amp, sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What FSDP makes of a model trains and is saved whole, also where one process has it all."""
    config = pretrain_config(tmp_path / 'c', 'symmim', sample_data)
    place = dict(RANK='0', WORLD_SIZE='1', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1')
    for name, value in (place | dict(MASTER_PORT=str(free_ports(1)[0]))).items():
        monkeypatch.setenv(name, value)
    cfg = configure(config, work_dir=tmp_path / 'work', amp=bool(amp))
    use_fsdp(cfg, 2, None, 'online', compiled=False)  # a user with one process is refused
    with launched_runner(cfg, 'pytorch') as runner:
        runner.train()
    saved, whole = (
        read_checkpoint(folder / 'epoch_2.pth')['state_dict']
        for folder in (tmp_path / 'work', runs['symmim'])
    )
    assert saved.keys() == whole.keys()
    shapes = ({key: value.shape for key, value in state.items()} for state in (saved, whole))
    assert next(shapes) == next(shapes)
