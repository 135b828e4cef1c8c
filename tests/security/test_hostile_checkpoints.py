"""Files that would run code when they are unpickled: nothing of them runs, data are still read."""

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_files import CONTENTS, FORMATS, Call, hostile_checkpoint, rebuild
from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader, _safe_torch_load
from paths import ROOT
from torch import nn

from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.mmengine import load_from_file, use_safe_loaders
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.utils.errors import UserError

READERS = {
    'read_checkpoint': read_checkpoint,
    'load_backbone': lambda path: load_backbone(nn.Linear(1, 1), path),
    'load_checkpoint': lambda path: load_checkpoint(nn.Linear(1, 1), str(path)),
    'Pretrained': lambda path: _pretrained(str(path)),
}


def _pretrained(path: str) -> None:
    arch = dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)
    for scope in ('mmpretrain', 'symmim_mm'):
        kind = 'VisionTransformer' if scope == 'mmpretrain' else 'MaskedViT'
        init = dict(type='Pretrained', checkpoint=path, prefix='backbone.')
        MODELS.build(dict(type=f'{scope}.{kind}', arch=arch, img_size=16, patch_size=8,
                          init_cfg=init)).init_weights()  # fmt: skip


@pytest.fixture(autouse=True)
def own_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the class: reading a log as MMEngine does changes it."""
    methods = dict(HistoryBuffer._statistics_methods)
    monkeypatch.setattr(HistoryBuffer, '_statistics_methods', methods)


@pytest.fixture(params=[True, False], ids=['as tools', 'as library'])
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what ``symmim_mm.cli`` sets, and as in a program that only imports the package."""
    if not request.param:
        monkeypatch.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD')


@pytest.mark.parametrize('reader', READERS)
@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize('content', CONTENTS)
def test_nothing_runs(environment, tmp_path: Path, content: str, form: str, reader: str) -> None:
    file, marker = tmp_path / 'hostile.pth', tmp_path / 'marker'
    hostile_checkpoint(file, marker, form=form, content=content)
    with pytest.raises(UserError, match='hostile.pth') as error:
        READERS[reader](file)
    assert not marker.exists()
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize('content', CONTENTS)
@pytest.mark.parametrize('form', ['zip', 'legacy'])
def test_the_files_do_what_they_are_meant_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, content: str
) -> None:
    monkeypatch.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD')
    marker = tmp_path / 'marker'
    file = hostile_checkpoint(tmp_path / 'x.pth', marker, form=form, content=content)
    torch.load(file, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize('content', ['getattr', 'history'])
def test_the_list_of_mmengine_lets_code_through(tmp_path: Path, content: str) -> None:
    """Why that list is not used: even where torch may not fall back, these files run."""
    marker = tmp_path / 'marker'
    file = hostile_checkpoint(tmp_path / 'x.pth', marker, content=content)
    _safe_torch_load(file)
    assert marker.exists()


def test_what_other_code_calls_safe_is_not_safe_here(tmp_path: Path) -> None:
    marker = tmp_path / 'marker'
    file = hostile_checkpoint(tmp_path / 'x.pth', marker, content='getattr')
    with torch.serialization.safe_globals([getattr]):
        before = set(torch.serialization.get_safe_globals())
        with pytest.raises(UserError, match='refused'):
            read_checkpoint(file)
        assert set(torch.serialization.get_safe_globals()) == before
    assert not marker.exists()


@pytest.fixture(autouse=True)
def safe_loaders() -> None:
    use_safe_loaders()


def test_every_scheme_of_mmengine_leads_to_our_reader() -> None:
    assert set(CheckpointLoader._schemes.values()) == {load_from_file}


def test_importing_our_modules_leaves_mmengines_loaders_alone() -> None:
    """A project that borrows a model or a hook sees no side effect; the call is what changes it."""
    program = """
from mmengine.runner.checkpoint import CheckpointLoader
before = dict(CheckpointLoader._schemes)
import symmim_mm.apis.evaluate, symmim_mm.apis.test, symmim_mm.apis.train, symmim_mm.apis.visualize
import symmim_mm.engine.hooks, symmim_mm.engine.optim, symmim_mm.engine.runner.fsdp
import symmim_mm.checkpoint.mmengine as ours, symmim_mm.models
assert CheckpointLoader._schemes == before
ours.use_safe_loaders()
assert set(CheckpointLoader._schemes.values()) == {ours.load_from_file}
"""
    done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    'address',
    ['https://example.org/x.pth', 'http://example.org/x.pth', 'torchvision://resnet50',
     'open-mmlab://resnet50', 'mmcls://vit', 's3://bucket/x.pth', 'pavi://x', 'modelscope://x',
     'hf://x', 'file://{folder}/x.pth'],
)  # fmt: skip
@pytest.mark.parametrize('reader', ['read_checkpoint', 'load_checkpoint', 'Pretrained'])
def test_an_address_is_not_fetched(address: str, reader: str, tmp_path: Path) -> None:
    torch.save({}, tmp_path / 'x.pth')  # what the last address leads to
    address = address.format(folder=tmp_path)
    with pytest.raises(UserError, match='is an address, and nothing is fetched'):
        READERS[reader](address)


def test_the_text_of_a_config_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    """``Runner.resume`` runs ``meta['config']``, a text in a file that is all data."""
    marker = tmp_path / 'marker'
    meta = dict(config=f'open({str(marker)!r}, "w").close()', epoch=1, iter=1)
    model = nn.Linear(1, 1)
    torch.save(dict(meta=meta, state_dict=model.state_dict(), message_hub={}), tmp_path / 'x.pth')
    assert 'config' not in load_from_file(str(tmp_path / 'x.pth'))['meta']
    assert 'config' in read_checkpoint(tmp_path / 'x.pth')['meta']
    dataset = torch.utils.data.TensorDataset(torch.zeros(2, 1))
    runner = Runner(
        model, work_dir=str(tmp_path), load_from=str(tmp_path / 'x.pth'), resume=True,
        train_dataloader=torch.utils.data.DataLoader(dataset), train_cfg=dict(by_epoch=True,
        max_epochs=1), optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
    )  # fmt: skip
    with pytest.raises((KeyError, AssertionError)):  # the file has no optimizer and no log
        runner.load_or_resume() or runner.train()
    assert not marker.exists()


def _dtype(name: str, state: tuple) -> Call:
    class Dtype(Call):
        def __reduce__(self) -> tuple:
            return np.dtype, (name, False, True), state

    return Dtype(None)


OBJECTS = np.dtype('O')


@pytest.mark.parametrize(
    'value',
    [
        OBJECTS,
        np.dtype([('a', 'f8')]),
        np.array([(1.0, None)], dtype=[('a', 'f8'), ('b', 'O')]),
        # Eight bytes that NumPy would take for the address of an object.
        _dtype('V8', (3, '|', None, ('a',), {'a': (OBJECTS, 0)}, 8, 1, 0)),
        _dtype('f8', (3, '<', None, ('a',), {'a': (OBJECTS, 0)}, 8, 8, 5)),
        np.datetime64('2026-01-01'),
        Call(getattr, np.ndarray, 'tofile'),
        Call(getattr, HistoryBuffer([1], [1]), '__class__'),
        np.add,
        Path('x'),
    ],
    ids=lambda value: type(value).__name__,  # not an address, which differs from process to process
)
def test_what_is_not_plain_data_is_refused(tmp_path: Path, value: object) -> None:
    torch.save(dict(value=value), tmp_path / 'x.pth')
    with pytest.raises(UserError, match='x.pth'):
        read_checkpoint(tmp_path / 'x.pth')


def test_attributes_do_not_change_what_an_object_is(tmp_path: Path) -> None:
    value = Call(rebuild, Namespace, Namespace, (), {'__class__': HistoryBuffer})
    torch.save(dict(value=value), tmp_path / 'x.pth')
    assert type(read_checkpoint(tmp_path / 'x.pth')['value']) is Namespace


def test_a_program_for_torchscript_is_refused(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(1, 1)).save(str(tmp_path / 'x.pth'))
    with pytest.raises(UserError, match='TorchScript'):
        read_checkpoint(tmp_path / 'x.pth')


def test_a_pickle_by_the_name_of_a_safetensors_file(tmp_path: Path) -> None:
    marker = tmp_path / 'marker'
    file = hostile_checkpoint(tmp_path / 'x.safetensors', marker)
    with pytest.raises(UserError, match='not a safetensors file'):
        read_checkpoint(file)
    assert not marker.exists()


VALUES = {
    'float64': np.float64(1.5),
    'int64': np.int64(-3),
    'bool': np.bool_(True),
    'text': np.str_('mIoU'),
    'array': np.arange(6.0).reshape(2, 3),
    'fortran': np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3)),
    'big endian': np.arange(3, dtype='>i4'),
    'empty': np.empty((0, 4), np.float32),
    'random state': np.random.RandomState(1).get_state(),
    'dtype': np.dtype('float32'),
    'arguments': Namespace(lr=1e-3, sizes=[1, np.float32(2.0)]),
    'nested': [(np.ones(2), {'a': [np.zeros(1)]}), None, 'x', b'bytes', {1, 2}],
}


@pytest.mark.parametrize('name', VALUES)
@pytest.mark.parametrize('form', ['zip', 'legacy'])
def test_data_are_read_as_they_were_saved(tmp_path: Path, form: str, name: str) -> None:
    FORMATS[form](dict(value=VALUES[name]), tmp_path / 'x.pth')
    read = read_checkpoint(tmp_path / 'x.pth')['value']
    # With the types of numbers, and the dtypes of arrays; a dtype alone has several spellings.
    assert type(read) is type(VALUES[name])
    assert read == VALUES[name] if name == 'dtype' else repr(read) == repr(VALUES[name])
    assert not isinstance(read, np.ndarray) or read.flags.writeable


def test_a_log_is_read_and_goes_on(tmp_path: Path) -> None:
    history = HistoryBuffer([1.0, 3.0], [1, 1], max_length=3)
    torch.save(dict(log=history, again=history), tmp_path / 'x.pth')
    found = read_checkpoint(tmp_path / 'x.pth')
    log = found['log']
    assert type(log) is HistoryBuffer
    assert found['again'] is log
    assert log.statistics('mean') == 2.0
    for value in (5.0, 7.0):
        log.update(value)
    assert log.data[0].tolist() == [3.0, 5.0, 7.0]
    torch.save(dict(log=log), tmp_path / 'y.pth')
    assert read_checkpoint(tmp_path / 'y.pth')['log'].current() == 7.0


def test_a_list_that_holds_itself(tmp_path: Path) -> None:
    ring: list = [np.ones(1)]
    ring.append(ring)
    torch.save(dict(ring=ring), tmp_path / 'x.pth')
    found = read_checkpoint(tmp_path / 'x.pth')['ring']
    assert type(found[0]) is np.ndarray
    assert found[1] is found
