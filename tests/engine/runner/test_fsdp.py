"""``--fsdp`` on two CPU processes: DDP's weights and DDP's files."""

import json
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.registry import MODELS
from paths import ROOT
from processes import free_ports
from torch import Tensor
from torch.multiprocessing import ProcessExitedException

from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.read import read_checkpoint

pytestmark = pytest.mark.xdist_group('sharded')  # whose fixture trains
METHODS = ('symmim', 'mae')
EPOCHS = 2
# A large eps: where a gradient is nothing but rounding, as those of the keys' biases are, Adam
# would make a step of the rounding.
SHORT = [
    'recipe.warmup_epochs=0', 'recipe.batch=20', f'recipe.epochs={EPOCHS}',
    'optim_wrapper.optimizer.eps=1e-4', 'model.backbone.arch.num_layers=2',
]  # fmt: skip
OWN = dict(
    symmim=['model.contrast.hidden_dims=32', 'model.head.loss=l2'],  # L1 has jumps
    mae=['model.neck.decoder_depth=1', 'recipe.max_batch_per_gpu=5'],
    finetune=[f'train_cfg.val_interval={EPOCHS}'],
)


def command(data: Path, name: str, work_dir: Path, *options: str) -> list[str]:
    """The command line of ``tools/train.py`` for a short run of one of the quickstart's configs."""
    transfer = name == 'finetune'
    places = [f'{split}_dataloader' for split in ('train', 'val', 'test')[: 3 if transfer else 1]]
    places += [] if transfer else ['default_hooks.pictures']
    changes = [f'{place}.dataset.data_root={data / "imagenet"}' for place in places]
    config = ROOT / 'configs' / 'quickstart' / (f'{name}.py' if transfer else f'{name}_pretrain.py')
    return [
        str(config), '--work-dir', str(work_dir), '--launcher', 'pytorch', *options,
        '--cfg-options', *changes, *SHORT, *OWN[name],
    ]  # fmt: skip


def worker(rank: int, ports: list[int], commands: list[list[str]]) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK=str(rank), OMP_NUM_THREADS='1')
    os.environ['MASTER_ADDR'] = '127.0.0.1'
    from symmim_mm.apis.train import train
    from symmim_mm.cli import COMMANDS

    parser = COMMANDS['train'].build_parser('train')
    for port, words in zip(ports, commands, strict=True):
        os.environ['MASTER_PORT'] = str(port)
        train(parser.parse_args(words))


def run(*commands: list[str]) -> None:
    """Run commands one after the other, each in the same two processes."""
    multiprocessing.set_forkserver_preload(['mmpretrain.models', 'symmim_mm.engine.runner.fsdp'])
    # One port each: rank 1 may begin the next command while rank 0 still serves the last one.
    ports = free_ports(len(commands))
    mp.start_processes(worker, (ports, list(commands)), 2, start_method='forkserver')


@pytest.fixture(scope='module')
def runs(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``<method>-ddp`` and ``<method>-fsdp``, and the same of a fine-tuning."""
    out = tmp_path_factory.mktemp('runs')
    backbone = ['--backbone', str(out / 'symmim-fsdp' / f'epoch_{EPOCHS}.pth')]
    run(
        *(
            command(sample_data, name, out / f'{name}-{kind}', *options, *more)
            for name, more in (*((method, []) for method in METHODS), ('finetune', backbone))
            for kind, options in (('ddp', []), ('fsdp', ['--fsdp']))
        )
    )
    return out


def saved(folder: Path, epoch: int = EPOCHS) -> dict:
    return read_checkpoint(folder / f'epoch_{epoch}.pth')


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=5e-6, msg=str(key))


@pytest.mark.slow
@pytest.mark.parametrize('name', [*METHODS, 'finetune'])
def test_weights_and_optimizer_are_those_of_ddp(name: str, runs: Path) -> None:
    ddp, fsdp = saved(runs / f'{name}-ddp'), saved(runs / f'{name}-fsdp')
    assert_close(fsdp['state_dict'], ddp['state_dict'])
    first = saved(runs / f'{name}-ddp', 1)['state_dict']
    assert max(float((first[k] - v).abs().max()) for k, v in ddp['state_dict'].items()) > 1e-4

    assert fsdp.keys() == ddp.keys()
    ours, theirs = fsdp['optimizer'], ddp['optimizer']
    assert ours['param_groups'] == theirs['param_groups']
    assert len({group['weight_decay'] for group in ours['param_groups']}) == 2
    assert ours['state'].keys() == theirs['state'].keys()
    for number, state in theirs['state'].items():
        assert_close(ours['state'][number], state)
    for key in ('epoch', 'iter', 'seed'):
        assert fsdp['meta'][key] == ddp['meta'][key]


@pytest.mark.slow
@pytest.mark.parametrize('name', [*METHODS, 'finetune'])
def test_the_record_is_that_of_ddp(name: str, runs: Path) -> None:
    fsdp, ddp = (
        json.loads((runs / f'{name}-{kind}' / 'result.json').read_text())
        for kind in ('fsdp', 'ddp')
    )
    assert fsdp['metrics'] == pytest.approx(ddp['metrics'], rel=1e-4)
    for key in ('method', 'images', 'pictures', 'parent', 'checkpoint'):
        assert fsdp[key] == ddp[key]
    assert len(fsdp['figures']) == (0 if name == 'finetune' else 6)


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_a_transfer_loads_the_backbone(method: str, runs: Path, mmpretrain_scope) -> None:
    arch = dict(embed_dims=128, num_layers=2, num_heads=4, feedforward_channels=512)
    backbone = MODELS.build(
        dict(type='mmpretrain.VisionTransformer', arch=arch, img_size=64, patch_size=8)
    )
    report = load_backbone(backbone, runs / f'{method}-fsdp' / f'epoch_{EPOCHS}.pth')
    assert not report.missing
    weights = saved(runs / f'{method}-fsdp')['state_dict']
    assert torch.equal(
        backbone.layers[1].attn.qkv.weight, weights['backbone.layers.1.attn.qkv.weight']
    )


@pytest.mark.slow
def test_each_resumes_what_the_other_has_saved(
    runs: Path, sample_data: Path, tmp_path: Path
) -> None:
    commands = []
    for before, after, options in (('ddp', 'fsdp', ['--fsdp']), ('fsdp', 'ddp', [])):
        folder = tmp_path / after
        folder.mkdir()
        shutil.copy(runs / f'symmim-{before}' / 'epoch_1.pth', folder)
        commands.append(command(sample_data, 'symmim', folder, '--resume', *options))
    run(*commands)
    expected = saved(runs / 'symmim-ddp')
    for kind in ('fsdp', 'ddp'):
        found = saved(tmp_path / kind)
        assert_close(found['state_dict'], expected['state_dict'])
        assert found['meta']['iter'] == expected['meta']['iter']


@pytest.mark.slow
def test_moments_of_another_shape_are_refused(
    runs: Path, sample_data: Path, tmp_path: Path
) -> None:
    checkpoint = saved(runs / 'symmim-fsdp', 1)
    checkpoint['optimizer']['state'][0]['exp_avg'] = torch.zeros(3)
    torch.save(checkpoint, tmp_path / 'epoch_1.pth')
    with pytest.raises(ProcessExitedException) as ended:
        run(command(sample_data, 'symmim', tmp_path, '--resume', '--fsdp'))
    assert ended.value.exit_code == 2
    assert not (tmp_path / 'epoch_2.pth').exists()


@pytest.mark.slow
def test_mistakes_are_told(tool, sample_data: Path) -> None:
    root = sample_data / 'imagenet'
    result = tool(
        'train.py', 'configs/quickstart/mae_pretrain.py', '--fsdp', '--cfg-options',
        f'train_dataloader.dataset.data_root={root}',
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert 'error: --fsdp shares a model out over processes, and there is one' in result.stderr
