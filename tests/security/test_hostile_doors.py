"""Every command that takes a checkpoint, with one that would run code: one line, nothing runs.

The file is that of ``hostile_files.worst``: it runs where MMEngine's list of safe functions is
used, and where a refused file is unpickled all the same. Its weights are those the command wants,
so that a door which is open would let it in to the end.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hostile_files import hostile_checkpoint
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from paths import ROOT
from warm_commands import WarmCommands, warm_commands

pytestmark = pytest.mark.slow

CONFIGS = ROOT / 'configs' / 'quickstart'
TASKS = ('finetune', 'mask_rcnn', 'upernet')
LAYOUTS = {'mask_rcnn': 'coco', 'upernet': 'ade20k'}


def state_of(name: str) -> dict[str, torch.Tensor]:
    """Fresh weights of a quickstart config's model."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    DefaultScope._instance_dict.clear()
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    return MODELS.build(cfg.model).state_dict()


@pytest.fixture(scope='module')
def states() -> dict[str, dict[str, torch.Tensor]]:
    return {name: state_of(name) for name in ('symmim_pretrain', *TASKS)}


class Try:
    """Calls a command and checks that it refused and that nothing ran."""

    def __init__(self, tool: Callable, folder: Path, data: Path) -> None:
        self.tool, self.folder, self.data = tool, folder, data
        self.marker = folder / 'marker'

    def file(self, state: dict, form: str = 'zip', name: str = 'hostile.pth') -> Path:
        return hostile_checkpoint(self.folder / name, self.marker, state, form)

    def options(self, config: str, *more: str) -> list[str]:
        """Options that point a config at the small data set."""
        layout = LAYOUTS.get(config, 'imagenet')
        words = [f'{split}_dataloader.dataset.data_root={self.data / layout}/'
                 for split in ('train', 'val', 'test')]  # fmt: skip
        if config.endswith('pretrain'):
            words = words[:1]
            words.append(f'default_hooks.images.dataset.data_root={self.data / layout}')
        if config == 'mask_rcnn':
            annotations = self.data / layout / 'annotations' / 'instances_val2017.json'
            words += [f'{split}_evaluator.ann_file={annotations}' for split in ('val', 'test')]
        if config in ('finetune', 'symmim_pretrain', *LAYOUTS):
            words.append('recipe.batch=4')
        return ['--work-dir', str(self.folder), '--cfg-options', *words, *more]

    def refused(self, name: str, *arguments: str | Path, words: str = 'hostile.pth') -> str:
        result = self.tool(name, *arguments)
        assert not self.marker.exists(), 'the file has run'
        assert result.returncode == 2, result.stdout[-1000:] + result.stderr[-3000:]
        lines = [line for line in result.stderr.splitlines() if line.startswith('error: ')]
        assert len(lines) == 1, result.stderr[-3000:]
        assert 'Traceback' not in result.stderr
        assert words in lines[0]
        return result.stdout + result.stderr


@pytest.fixture(scope='module')
def warm_tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommands]:
    with warm_commands(ROOT, tmp_path_factory.mktemp('commands')) as commands:
        yield commands


@pytest.fixture
def door(warm_tool: WarmCommands, tmp_path: Path, sample_data: Path) -> Try:
    return Try(warm_tool, tmp_path, sample_data)


def test_as_a_program_of_its_own(
    tool: Callable, states: dict, tmp_path: Path, sample_data: Path
) -> None:
    door = Try(tool, tmp_path, sample_data)
    file = door.file(states['finetune'])
    options = door.options('finetune', f'load_from={file}')
    door.refused('train.py', CONFIGS / 'finetune.py', *options)
    door.refused('test.py', CONFIGS / 'finetune.py', file, *door.options('finetune'))


@pytest.mark.parametrize(
    ('config', 'form'), [('finetune', 'zip'), ('finetune', 'legacy'), ('mask_rcnn', 'legacy'),
                         ('upernet', 'zip')],
)  # fmt: skip
def test_backbone(door: Try, states: dict, config: str, form: str) -> None:
    file = door.file(states['symmim_pretrain'], form)
    door.refused('train.py', CONFIGS / f'{config}.py', '--backbone', file, *door.options(config))


@pytest.mark.parametrize('config', ['knn', 'linear'])
def test_frozen_features(door: Try, states: dict, config: str) -> None:
    file = door.file(states['symmim_pretrain'])
    door.refused(
        f'{config}.py', CONFIGS / f'{config}.py', '--backbone', file, *door.options(config)
    )


@pytest.mark.parametrize('config', TASKS)
def test_load_from(door: Try, states: dict, config: str) -> None:
    file = door.file(states[config], 'legacy')
    options = door.options(config, f'load_from={file}')
    door.refused('train.py', CONFIGS / f'{config}.py', *options)


@pytest.mark.parametrize('way', ['--backbone', 'load_from'])
def test_shared_out_over_processes(
    states: dict, tmp_path: Path, sample_data: Path, way: str
) -> None:
    """``--fsdp`` has another runner and another reader of checkpoints."""
    door = Try(None, tmp_path, sample_data)
    file = door.file(states['symmim_pretrain' if way == '--backbone' else 'finetune'])
    words = ['--backbone', file] if way == '--backbone' else []
    options = door.options('finetune', *([] if words else [f'load_from={file}']))
    done = subprocess.run(
        ['bash', 'tools/dist_train.sh', 'configs/quickstart/finetune.py', '2', '--fsdp',
         *map(str, (*words, *options))],
        cwd=ROOT, env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert not door.marker.exists(), 'the file has run'
    assert done.returncode == 2, done.stdout[-1000:] + done.stderr[-3000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert lines and all('hostile.pth was refused' in line for line in lines), done.stderr[-3000:]


@pytest.mark.parametrize('config', TASKS)
def test_init_cfg(door: Try, states: dict, config: str) -> None:
    file = door.file(states['symmim_pretrain'])
    init = 'model.backbone.init_cfg'
    options = door.options(
        config, f'{init}.type=Pretrained', f'{init}.checkpoint={file}', f'{init}.prefix=backbone.'
    )
    door.refused('train.py', CONFIGS / f'{config}.py', *options)


@pytest.mark.parametrize('config', ['knn', 'linear'])
def test_init_cfg_of_frozen_features(door: Try, states: dict, config: str) -> None:
    file = door.file(states['symmim_pretrain'])
    init = 'model.backbone.init_cfg'
    options = door.options(config, f'{init}.type=Pretrained', f'{init}.checkpoint={file}')
    door.refused(f'{config}.py', CONFIGS / f'{config}.py', *options)


@pytest.mark.parametrize(
    ('config', 'name'),
    [('symmim_pretrain', 'epoch_1.pth'), ('finetune', 'epoch_1.pth'),
     ('mask_rcnn', 'iter_1.pth'), ('upernet', 'iter_1.pth')],
)  # fmt: skip
def test_resume(door: Try, states: dict, config: str, name: str) -> None:
    door.file(states[config], name=name)
    output = door.refused(
        'train.py', CONFIGS / f'{config}.py', '--resume', *door.options(config),
        words=door.folder.name,
    )  # fmt: skip
    assert f'{name} was refused' in output


@pytest.mark.parametrize('config', ['symmim_pretrain', *TASKS])
def test_resume_as_mmengine_does_it(door: Try, states: dict, config: str) -> None:
    """``resume=True`` in a config takes the file that ``last_checkpoint`` names."""
    file = door.file(states[config], 'legacy')
    (door.folder / 'last_checkpoint').write_text(str(file))
    door.refused('train.py', CONFIGS / f'{config}.py', *door.options(config, 'resume=True'))


@pytest.mark.parametrize(
    ('config', 'form'), [('finetune', 'legacy'), ('mask_rcnn', 'zip'), ('upernet', 'legacy')]
)
def test_evaluation(door: Try, states: dict, config: str, form: str) -> None:
    file = door.file(states[config], form)
    door.refused('test.py', CONFIGS / f'{config}.py', file, *door.options(config))


@pytest.mark.parametrize(
    ('kind', 'config'),
    [('reconstruct', 'symmim_pretrain'), ('attention', 'symmim_pretrain'),
     ('detect', 'mask_rcnn'), ('segment', 'upernet')],
)  # fmt: skip
def test_pictures(door: Try, states: dict, kind: str, config: str) -> None:
    words = [CONFIGS / f'{config}.py', door.file(states[config])]
    if config == 'symmim_pretrain':
        words.append(next((door.data / 'imagenet' / 'val').rglob('*.png')))
    door.refused('visualize.py', kind, *words, '--out', door.folder / 'out')


@pytest.mark.parametrize(
    ('form', 'name'), [('timm', 'out.safetensors'), ('hf', 'out'), ('onnx', 'out.onnx')]
)
def test_export(door: Try, states: dict, form: str, name: str) -> None:
    file = door.file(states['symmim_pretrain'], 'legacy' if form == 'hf' else 'zip')
    out = door.folder / name
    door.refused('export_backbone.py', file, '--format', form, out, '--heads', '4')
    assert not out.exists()
