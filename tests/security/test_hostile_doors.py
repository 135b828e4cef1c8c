"""Every command that takes a checkpoint, with one that would run code: one line, nothing runs.

The file is that of ``hostile_files.worst``: it runs where MMEngine's list of safe functions is
used, and where a refused file is unpickled all the same. Its weights are those the command wants,
so that a command which reads it would read it to the end.
"""

from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from hostile_files import hostile_checkpoint
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from paths import ROOT
from processes import error_line
from quickstart import LAYOUTS, data_options, data_settings
from torch.multiprocessing import ProcessExitedException
from two_processes import two_processes
from warm_commands import WarmCommands

pytestmark = pytest.mark.slow

CONFIGS = ROOT / 'configs' / 'quickstart'
PRETRAIN = 'symmim_pretrain'


@pytest.fixture(scope='module')
def states() -> dict[str, dict[str, torch.Tensor]]:
    """Fresh weights of the quickstart's models."""
    found = {}
    for name in (PRETRAIN, 'finetune', *LAYOUTS):
        cfg = Config.fromfile(CONFIGS / f'{name}.py')
        DefaultScope._instance_dict.clear()
        init_default_scope(cfg.get('default_scope', 'mmpretrain'))
        cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
        found[name] = MODELS.build(cfg.model).state_dict()
    return found


def options(config: str, folder: Path, data: Path, *more: str) -> list[str]:
    """Options that point a config at the small dataset."""
    words = data_options(config, data)
    if config not in ('knn', 'linear'):
        words.append('recipe.batch=4')
    return ['--work-dir', str(folder), '--cfg-options', *words, *more]


def refused(done: CompletedProcess, folder: Path, *words: str, ranks: int = 1) -> None:
    """Nothing of the file has run, and the command said so in one line (of each process)."""
    assert not (folder / 'marker').exists(), 'the file has run'
    error_line(done, *words, ranks=ranks)


# A command, a config, and how the file comes to it; then the layout of the file.
INIT = 'model.backbone.init_cfg'
DOORS = [
    *(('train.py', config, '--backbone', form) for config, form in
      (('finetune', 'zip'), ('mask_rcnn', 'legacy'), ('upernet', 'zip'))),
    *(('train.py', config, 'load_from', 'legacy') for config in ('finetune', 'mask_rcnn')),
    *(('train.py', config, 'init_cfg', 'zip') for config in ('finetune', 'upernet')),
    *(('train.py', config, '--resume', 'zip') for config in (PRETRAIN, 'finetune', 'mask_rcnn')),
    *(('train.py', config, 'resume=True', 'legacy') for config in (PRETRAIN, 'upernet')),
    *(('test.py', config, 'positional', form) for config, form in
      (('finetune', 'legacy'), ('mask_rcnn', 'zip'), ('upernet', 'legacy'))),
    *((f'{name}.py', name, way, 'zip') for name, way in
      (('knn', '--backbone'), ('linear', '--backbone'), ('knn', 'init_cfg'))),
]  # fmt: skip


@pytest.mark.parametrize(('name', 'config', 'way', 'form'), DOORS)
def test_runs(
    tool: WarmCommands, states: dict, tmp_path: Path, sample_data: Path,
    name: str, config: str, way: str, form: str,
) -> None:  # fmt: skip
    own = way in ('load_from', '--resume', 'resume=True', 'positional')
    epochs = 'iter_1.pth' if config in LAYOUTS else 'epoch_1.pth'
    file = hostile_checkpoint(
        tmp_path / (epochs if way == '--resume' else 'hostile.pth'),
        tmp_path / 'marker', states[config if own else PRETRAIN], form,
    )  # fmt: skip
    if way == 'resume=True':  # as MMEngine does it
        (tmp_path / 'last_checkpoint').write_text(str(file))
    first = {'--backbone': ['--backbone', file], '--resume': ['--resume'], 'positional': [file]}
    more = {
        'load_from': [f'load_from={file}'],
        'init_cfg': [f'{INIT}.type=Pretrained', f'{INIT}.checkpoint={file}',
                     f'{INIT}.prefix=backbone.'],
        'resume=True': ['resume=True'],
    }  # fmt: skip
    words = options(config, tmp_path, sample_data, *more.get(way, []))
    done = tool(name, CONFIGS / f'{config}.py', *first.get(way, []), *words)
    refused(done, tmp_path, tmp_path.name if way == '--resume' else file.name)
    assert f'{file.name} was refused' in done.stdout + done.stderr


@pytest.mark.parametrize('way', ['backbone', 'load_from'])
def test_sharded_over_processes(states: dict, tmp_path: Path, sample_data: Path, way: str) -> None:
    """``--fsdp`` has another runner and another reader of checkpoints."""
    state = states[PRETRAIN if way == 'backbone' else 'finetune']
    file = hostile_checkpoint(tmp_path / 'hostile.pth', tmp_path / 'marker', state, 'zip')
    changes = data_settings('finetune', sample_data) | {'recipe.batch': 4}
    changes |= {'load_from': str(file)} if way == 'load_from' else {}
    arguments = dict(config=CONFIGS / 'finetune.py', work_dir=tmp_path, cfg_options=changes,
                     backbone=file if way == 'backbone' else None, fsdp=True)  # fmt: skip
    with pytest.raises(ProcessExitedException) as ended:
        two_processes(('train', arguments), errors=tmp_path / 'errors')
    errors = (tmp_path / 'errors').read_text()
    done = CompletedProcess([], ended.value.exit_code, '', errors)
    refused(done, tmp_path, 'hostile.pth was refused', ranks=2)


@pytest.mark.parametrize(
    ('kind', 'config'),
    [('reconstruct', PRETRAIN), ('attention', PRETRAIN), ('detect', 'mask_rcnn'),
     ('segment', 'upernet')],
)  # fmt: skip
def test_visualize(
    tool: WarmCommands, states: dict, tmp_path: Path, sample_data: Path, kind: str, config: str
) -> None:
    file = hostile_checkpoint(tmp_path / 'hostile.pth', tmp_path / 'marker', states[config], 'zip')
    words = [CONFIGS / f'{config}.py', file]
    if config == PRETRAIN:
        words.append(next((sample_data / 'imagenet' / 'val').rglob('*.png')))
    done = tool('visualize.py', kind, *words, '--out', tmp_path / 'out')
    refused(done, tmp_path, 'hostile.pth')


@pytest.mark.parametrize(
    ('format', 'name', 'form'),
    [('timm', 'out.safetensors', 'zip'), ('hf', 'out', 'legacy'), ('onnx', 'out.onnx', 'zip')],
)
def test_export(
    tool: WarmCommands, states: dict, tmp_path: Path, format: str, name: str, form: str
) -> None:
    file = hostile_checkpoint(tmp_path / 'hostile.pth', tmp_path / 'marker', states[PRETRAIN], form)
    out = tmp_path / name
    done = tool('export_backbone.py', file, '--format', format, out, '--heads', '4')
    refused(done, tmp_path, 'hostile.pth')
    assert not out.exists()
