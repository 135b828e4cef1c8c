"""``--fsdp`` on two CPU processes: DDP's weights and DDP's files."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from mmengine._strategy import FSDPStrategy
from mmengine.registry import MODELS
from paths import CONFIGS
from torch import Tensor, nn
from torch.multiprocessing import ProcessExitedException
from two_processes import Call, two_processes

from symmim_mm.apis.train import configure
from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.engine.runner import fsdp
from symmim_mm.utils.errors import UserError

pytestmark = pytest.mark.xdist_group('sharded')  # whose fixture trains
METHODS = ('symmim', 'mae')
EPOCHS = 2
# A large eps: where a gradient is nothing but rounding, as those of the keys' biases are, Adam
# would make a step of the rounding.
SHORT = {
    'recipe.warmup_epochs': 0, 'recipe.batch': 20, 'recipe.epochs': EPOCHS,
    'optim_wrapper.optimizer.eps': 1e-4, 'model.backbone.arch.num_layers': 2,
}  # fmt: skip
OWN = {
    'symmim': {'model.contrast.hidden_dims': 32, 'model.head.loss': 'l2'},  # L1 has jumps
    'mae': {'model.neck.decoder_depth': 1, 'recipe.max_batch_per_gpu': 5},
    'finetune': {'train_cfg.val_interval': EPOCHS},
}


def call(data: Path, name: str, work_dir: Path, backbone: Path | None = None, **options) -> Call:
    """Return a call of ``train`` for a short run of one of the quickstart's configs."""
    transfer = name == 'finetune'
    parts = [f'{split}_dataloader' for split in ('train', 'val', 'test')[: 3 if transfer else 1]]
    parts += [] if transfer else ['default_hooks.images']
    changes = {f'{part}.dataset.data_root': str(data / 'imagenet') for part in parts}
    config = CONFIGS / 'quickstart' / (f'{name}.py' if transfer else f'{name}_pretrain.py')
    return 'train', dict(
        config=config, work_dir=work_dir, backbone=backbone if transfer else None,
        cfg_options=changes | SHORT | OWN[name], **options,
    )  # fmt: skip


@pytest.fixture(scope='module')
def runs(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``<method>-ddp`` and ``<method>-fsdp``, and the same of a fine-tuning."""
    out = tmp_path_factory.mktemp('runs')
    backbone = out / 'symmim-fsdp' / f'epoch_{EPOCHS}.pth'
    two_processes(
        *(
            call(sample_data, name, out / f'{name}-{kind}', backbone, fsdp=kind == 'fsdp')
            for name in (*METHODS, 'finetune')
            for kind in ('ddp', 'fsdp')
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
    for key in ('method', 'images', 'figures', 'parent', 'checkpoint'):
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


def test_a_pretraining_from_weights_starts_as_in_one_process(monkeypatch) -> None:
    """Heads and momentum branch included: by what ``LoadBackboneHook`` calls."""
    calls: list[tuple] = []
    monkeypatch.setattr(fsdp, 'load_start', lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(FSDPStrategy, '_init_model_weights', lambda self, model: model)
    strategy = fsdp.ShardedStrategy.__new__(fsdp.ShardedStrategy)
    strategy.backbone, strategy.branch = 'epoch_1.pth', 'momentum'
    strategy.logger = logging.getLogger('test')
    model = nn.Identity()
    assert strategy._init_model_weights(model) is model
    assert calls == [(model, 'epoch_1.pth', 'momentum', strategy.logger)]


@pytest.mark.slow
def test_each_resumes_what_the_other_has_saved(
    runs: Path, sample_data: Path, tmp_path: Path
) -> None:
    calls = []
    for before, after in (('ddp', 'fsdp'), ('fsdp', 'ddp')):
        folder = tmp_path / after
        folder.mkdir()
        shutil.copy(runs / f'symmim-{before}' / 'epoch_1.pth', folder)
        calls.append(call(sample_data, 'symmim', folder, resume=True, fsdp=after == 'fsdp'))
    two_processes(*calls)
    expected = saved(runs / 'symmim-ddp')
    for kind in ('fsdp', 'ddp'):
        found = saved(tmp_path / kind)
        assert_close(found['state_dict'], expected['state_dict'])
        assert found['meta']['iter'] == expected['meta']['iter']


@pytest.mark.slow
def test_load_from_takes_weights_and_refuses_those_of_other_names(
    runs: Path, sample_data: Path, tmp_path: Path
) -> None:
    weights = saved(runs / 'mae-ddp')['state_dict']
    torch.save(dict(state_dict=weights), tmp_path / 'own.pth')
    torch.save(dict(state_dict={f'x.{k}': v for k, v in weights.items()}), tmp_path / 'other.pth')

    def load(name: str) -> Call:
        kind, arguments = call(sample_data, 'mae', tmp_path / name, fsdp=True)
        # So small a rate that the weights stay those of the file.
        own = {
            'recipe.min_lr': 0.0,
            'recipe.epochs': 1,
            'load_from': str(tmp_path / f'{name}.pth'),
            'recipe.lr': 1e-12,
        }
        return kind, arguments | dict(cfg_options=arguments['cfg_options'] | own)

    two_processes(load('own'))
    assert_close(saved(tmp_path / 'own', 1)['state_dict'], weights)
    with pytest.raises(ProcessExitedException) as ended:
        two_processes(load('other'))
    assert ended.value.exit_code == 2
    assert not (tmp_path / 'other' / 'epoch_1.pth').exists()


@pytest.mark.slow
def test_moments_of_another_shape_are_refused(
    runs: Path, sample_data: Path, tmp_path: Path
) -> None:
    checkpoint = saved(runs / 'symmim-fsdp', 1)
    checkpoint['optimizer']['state'][0]['exp_avg'] = torch.zeros(3)
    torch.save(checkpoint, tmp_path / 'epoch_1.pth')
    with pytest.raises(ProcessExitedException) as ended:
        two_processes(call(sample_data, 'symmim', tmp_path, resume=True, fsdp=True))
    assert ended.value.exit_code == 2
    assert not (tmp_path / 'epoch_2.pth').exists()


def test_one_process_is_refused(sample_data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='--fsdp shards a model over processes, and there is one'):
        configure(**call(sample_data, 'mae', tmp_path, fsdp=True)[1])
