"""``tools/train.py CONFIG --dry-run`` for every config, with no data anywhere."""

import json
from pathlib import Path

import pytest
from paths import ROOT

from symmim_mm.cli import COMMANDS
from symmim_mm.utils.errors import UserError

# Of the full-size configs `make docs` makes plans, in tests/docs.
NAMES = sorted(
    str(path.relative_to(ROOT))
    for folder in ('quickstart', 'real')
    for path in (ROOT / 'configs' / folder).glob('*.py')
)
FAST = ('symmim_pretrain', 'mask_rcnn', 'linear')


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Dry-run a config with options, in a folder that must stay empty."""
    for name in ('COCO', 'ADE20K', 'CIFAR10', 'TINY_COCO', 'IMAGENET_SAMPLE'):
        monkeypatch.delenv(f'{name}_ROOT', raising=False)
    empty = tmp_path / 'empty'
    empty.mkdir()
    monkeypatch.chdir(empty)

    def call(name: str, *options: str) -> None:
        command = COMMANDS['train']
        words = [str(ROOT / name), '--dry-run', *options]
        command.run(command.build_parser('train').parse_args(words))
        assert list(empty.iterdir()) == []

    return call


@pytest.mark.parametrize(
    'name',
    [
        name if Path(name).stem in FAST else pytest.param(name, marks=pytest.mark.slow)
        for name in NAMES
    ],
)
def test_every_config(run, name: str, capsys: pytest.CaptureFixture) -> None:
    run(name, '--gpus', '1')
    words = capsys.readouterr().out
    for row in ('task', 'model', 'parameters', 'images', 'tokens', 'FLOPs', 'data', 'optimizer',
                'batch', 'memory'):  # fmt: skip
        assert f'\n{row} ' in '\n' + words, row
    assert 'absent: ' in words
    assert 'unknown' not in words
    if 'encoder is frozen' not in words:
        assert words.count('\nlr ') >= 5
        assert 'optimizer steps' in words


def test_symmim_in_numbers(run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    plan_file = tmp_path / 'plan.json'
    run('configs/symmim/vit_s_pretrain.py', '--gpus', '16', '--json', str(plan_file))
    words = capsys.readouterr().out
    assert '2,048 images per step = 16 processes x 128 images x 1 micro-batches' in words
    plan = json.loads(plan_file.read_text())
    assert plan['model_size']['backbone'] == 21_665_664  # ViT-S
    assert plan['batch']['negatives'] == 2047
    assert plan['length']['steps'] == 300 * 625
    rates = {sample['name']: sample for sample in plan['rates']}
    assert rates['warm-up end']['step'] == 6250
    assert rates['warm-up end']['rate'] == pytest.approx(7.5e-4)
    assert rates['1/2']['momentum'] == pytest.approx(0.995, abs=1e-6)
    assert rates['last']['rate'] == pytest.approx(1e-5)
    assert rates['last']['momentum'] == 1
    assert [tokens['encoder'] for tokens in plan['tokens']] == ['online', 'momentum']
    assert {group['weight_decay'] for group in plan['groups']} == {0, 0.05}


def test_parameters_are_listed_on_demand(run, capsys: pytest.CaptureFixture) -> None:
    run('configs/quickstart/finetune.py', '--list-parameters')
    lines = capsys.readouterr().out.splitlines()
    assert '    backbone.layers.0.attn.qkv.weight' in lines
    index = lines.index('    backbone.cls_token')
    assert lines[index - 1].split()[:3] == ['0.443705', '4.4371e-04', '0']  # .85^5, no decay
    assert lines.count('    head.fc.weight') == 1


def test_options_of_the_config_count(run, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(UserError, match='--json none/plan.json: No such file'):
        run('configs/quickstart/mae_pretrain.py', '--json', 'none/plan.json', '--cfg-options',
            'recipe.epochs=3', 'run.dataset=cifar10')  # fmt: skip
    words = capsys.readouterr().out
    assert '50,000 training images (CIFAR-10 training set)' in words
    assert '9,375 optimizer steps' in words  # 3 x 3125 of 16


def test_unknown_data(run, capsys: pytest.CaptureFixture) -> None:
    run('configs/quickstart/mae_pretrain.py', '--cfg-options', 'run.dataset=mine')
    words = capsys.readouterr().out
    assert 'unknown number of training images' in words
    assert 'length       unknown while the data are absent' in words


def test_a_config_of_ones_own(run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Without recipe and patch size; to MMEngine all its iterations are one epoch."""
    own = tmp_path / 'own.py'
    own.write_text(f"""
_base_ = ['{ROOT}/configs/quickstart/mae_pretrain.py']
recipe = None
run = dict(dataset='mine')
arch = dict(embed_dims=64, num_layers=2, num_heads=2, feedforward_channels=64)
model = dict(backbone=dict(_delete_=True, type='mmpretrain.MAEViT', arch=arch, img_size=64))
train_dataloader = dict(batch_size=8)
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=50)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type='MultiStepLR', milestones=[1])]
""")
    run(str(own))
    words = capsys.readouterr().out
    assert 'MAE on MAEViT (2 blocks of 64, 2 heads, patch 16)' in words
    assert 'lr           0.001 in step 49 (last)' in words


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--gpus', '0'], '--gpus must be at least 1'),
        (['--gpus', '3'], 'cannot be split over 3 processes'),
        (['--cfg-options', 'model.backbone.img_size=60'], 'image size 60'),
    ],
)
def test_mistakes(run, options: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        run('configs/quickstart/mae_pretrain.py', *options)


@pytest.mark.parametrize('count', ['0', '8'])
def test_options_of_dry_runs_alone_are_refused(count: str) -> None:
    train = COMMANDS['train']
    words = ['quickstart/mae_pretrain', '--gpus', count]
    with pytest.raises(UserError, match='--gpus belongs to --dry-run'):
        train.run(train.build_parser('train').parse_args(words))


def test_only_one_of_many_processes_prints(run, monkeypatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv('WORLD_SIZE', '4')
    monkeypatch.setenv('LOCAL_RANK', '1')
    monkeypatch.setenv('RANK', '1')
    run('configs/quickstart/mae_pretrain.py', '--launcher', 'pytorch')
    assert capsys.readouterr().out == ''
    monkeypatch.setenv('RANK', '0')
    run('configs/quickstart/mae_pretrain.py', '--launcher', 'pytorch')
    assert '4 processes x 4 images' in capsys.readouterr().out
