"""A run resumes from its own checkpoints, and refuses any other in one line."""

import copy
from collections.abc import Callable
from pathlib import Path

import mmpretrain.engine  # noqa: F401  registers LARS
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.runner import Runner
from torch import nn
from toy_run import Toy, assert_same, final_state, toy_runner, train_with_stops

from symmim_mm.checkpoint.read import checkpoint_files, read_checkpoint
from symmim_mm.utils.errors import UserError

ADAMW = dict(type='AdamW', lr=0.01, fused=True)
HUGE = 10**600  # no float


@pytest.fixture(scope='module')
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A good checkpoint after 1 epoch, of 5 iterations."""
    folder = tmp_path_factory.mktemp('run')
    toy_runner(folder, epochs=1, optimizer=ADAMW).train()
    return read_checkpoint(checkpoint_files(folder)[-1])


def resume(folder: Path, checkpoint: dict) -> Runner:
    torch.save(checkpoint, folder / 'epoch_1.pth')
    runner = toy_runner(folder, epochs=2, optimizer=ADAMW, resume=True)
    runner.train()
    return runner


def inside(checkpoint: dict, path: str | tuple) -> tuple:
    """Return what holds an entry, and its key there; paths in words have ``/`` between."""
    if isinstance(path, str):
        path = tuple(int(name) if name.isdigit() else name for name in path.split('/'))
    for name in path[:-1]:
        checkpoint = checkpoint[name]
    return checkpoint, path[-1]


def put(path: str | tuple, value: object) -> Callable[[dict], None]:
    def change(checkpoint: dict) -> None:
        holder, key = inside(checkpoint, path)
        holder[key] = value

    return change


def drop(path: str) -> Callable[[dict], None]:
    def change(checkpoint: dict) -> None:
        holder, key = inside(checkpoint, path)
        del holder[key]

    return change


MOMENT = 'optimizer/state/0/exp_avg'
GROUP = 'optimizer/param_groups/0'
SCHEDULE = 'param_schedulers/0'
BIAS = 'state_dict/head.bias'
WRONG = {
    'no weights': (drop('state_dict'), 'state_dict is missing; take it out of the folder'),
    'no schedules': (drop('param_schedulers'), 'param_schedulers is missing'),
    'half a log': (drop('message_hub/log_scalars'), 'message_hub.log_scalars is missing'),
    'meta of None': (put('meta', None), 'meta is None; take it out'),
    'epoch as string': (put('meta/epoch', '1'), 'meta.epoch is 1; take it out'),
    'epoch negative': (put('meta/epoch', -1), 'meta.epoch is -1'),
    'epoch True': (put('meta/epoch', True), 'meta.epoch is True'),
    'epoch without end': (put('meta/epoch', HUGE), 'meta.epoch is of type int'),
    'epoch too large': (put('meta/epoch', 10**9), 'iteration 5 is not in epoch 1000000000, of 5'),
    'another seed': (put('meta/seed', 4), 'meta.seed is 4 in the checkpoint and 3 here'),
    'stream in part': (drop('meta/stream/batch'), 'meta.stream.batch is missing'),
    'weights missing': (drop(BIAS), 'head.bias is missing in the checkpoint and .4,. of'),
    'weights too many': (put('state_dict/x', torch.zeros(1)), 'and missing here'),
    'weights wider': (
        put(BIAS, torch.zeros(8)),
        r'head.bias is \(8,\) of torch.float32 in the checkpoint and \(4,\) of torch.float32 here; '
        'use another --work-dir, or the config it was made with',
    ),
    'weights double': (put(BIAS, torch.zeros(4).double()), 'of torch.float64 in the checkpoint'),
    'weights sparse': (put(BIAS, torch.zeros(4).to_sparse()), 'head.bias is a sparse tensor'),
    'weights on meta': (put(BIAS, torch.zeros(4, device='meta')), 'head.bias has no data'),
    'moment too short': (put(MOMENT, torch.zeros(3)), r'state\[0\].exp_avg is \(3,\) of'),
    'moment of one number': (put(MOMENT, torch.zeros(1).expand(8, 4)), r'with strides \(0, 0\)'),
    'moment transposed': (put(MOMENT, torch.zeros(4, 8).t()), r'with strides \(1, 8\)'),
    'steps NaN': (put('optimizer/state/0/step', torch.tensor(torch.nan)), 'step is'),
    'state of another': (put('optimizer/state/6', {}), 'has parameter 6, which is not in this'),
    'state of a name': (put('optimizer/state/x', {}), 'has parameter x'),
    'two groups': (
        lambda found: found['optimizer']['param_groups'].append({}),
        'param_groups has 2 entries in the checkpoint and 1 here',
    ),
    'too few parameters': (put(f'{GROUP}/params', [0, 1]), 'params has 2 entries in the'),
    'parameters mixed up': (put(f'{GROUP}/params', [0, 1, 2, 3, 5, 4]), 'in another order'),
    'parameters as tensors': (put(f'{GROUP}/params', [torch.zeros(2)] * 6), r'params\[0\] is'),
    'rate NaN': (put(f'{GROUP}/lr', float('nan')), r'param_groups\[0\].lr is nan in the'),
    'no rate': (drop(f'{GROUP}/lr'), 'lr is missing in the checkpoint'),
    'three betas': (put(f'{GROUP}/betas', (0.9, 0.9, 0.9)), 'betas has 3 entries'),
    'another schedule': (put(SCHEDULE, dict(gamma=0.1)), r'param_schedulers\[0\].\w+ is missing'),
    'steps of a schedule': (put(f'{SCHEDULE}/last_step', HUGE), 'last_step is of type int'),
}


@pytest.mark.parametrize('name', WRONG)
def test_refused_in_one_line(tmp_path: Path, saved: dict, name: str) -> None:
    change, words = WRONG[name]
    checkpoint = copy.deepcopy(saved)
    change(checkpoint)
    with pytest.raises(UserError, match=words) as error:
        resume(tmp_path, checkpoint)
    assert str(error.value).startswith(f'--resume: {tmp_path / "epoch_1.pth"} ')


def test_nothing_is_loaded_of_what_is_refused(tmp_path: Path, saved: dict) -> None:
    checkpoint = copy.deepcopy(saved)
    put(SCHEDULE, {})(checkpoint)
    torch.save(checkpoint, tmp_path / 'epoch_1.pth')
    runner = toy_runner(tmp_path, epochs=2, optimizer=ADAMW, resume=True)
    before = copy.deepcopy(runner.model.state_dict())
    with pytest.raises(UserError):
        runner.load_or_resume()
    assert_same(runner.model.state_dict(), before)
    assert not runner.optim_wrapper.optimizer.state


def test_a_run_that_was_longer(tmp_path: Path) -> None:
    toy_runner(tmp_path / 'epochs', epochs=2).train()
    with pytest.raises(UserError, match='after 2 epochs, and 1 are to be done'):
        toy_runner(tmp_path / 'epochs', epochs=1, resume=True).train()
    toy_runner(tmp_path / 'iterations', iterations=8).train()
    with pytest.raises(UserError, match='after 8 iterations, and 4 are to be done'):
        toy_runner(tmp_path / 'iterations', iterations=4, resume=True).train()


def paths_in(value: object, path: tuple = ()) -> list[tuple]:
    """Return the path of every entry of nested dicts and lists."""
    if not isinstance(value, dict | list):
        return []
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    return [
        found for key, inner in entries for found in ((*path, key), *paths_in(inner, (*path, key)))
    ]


JUNK = [None, -1, 'x', float('nan'), HUGE, [], {}, {3: HUGE}, (1, 2), torch.zeros(3),
        torch.zeros(2, 2).to_sparse(), torch.tensor(-1.0)]  # fmt: skip


@pytest.fixture(scope='module')
def waiting(saved: dict, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A run that is about to resume."""
    folder = tmp_path_factory.mktemp('waiting')
    torch.save(saved, folder / 'epoch_1.pth')
    return toy_runner(folder, epochs=2, optimizer=ADAMW, resume=True)


@given(data=st.data())
def test_junk_anywhere_is_refused_or_harmless(waiting: Runner, saved: dict, data) -> None:
    """Any value anywhere: nothing but ``UserError`` is raised, and training continues."""
    checkpoint = copy.deepcopy(saved)
    path = data.draw(st.sampled_from(paths_in(saved)))
    put(path, data.draw(st.sampled_from(JUNK)))(checkpoint)
    try:
        waiting.call_hook('after_load_checkpoint', checkpoint=checkpoint)
    except UserError as error:
        assert len(str(error).splitlines()) == 1
    else:
        model = copy.deepcopy(waiting.model)
        model.load_state_dict(checkpoint['state_dict'])
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        optimizer.load_state_dict(checkpoint['optimizer'])
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()


OPTIMIZERS = {
    'fused AdamW': ADAMW,
    'AdamW of amsgrad': dict(type='AdamW', lr=0.01, amsgrad=True, foreach=True),
    'SGD': dict(type='SGD', lr=0.01),
    'SGD with momentum': dict(type='SGD', lr=0.01, momentum=0.9, nesterov=True),
    'LARS': dict(type='mmpretrain.LARS', lr=0.01, momentum=0.9),
    'Adagrad': dict(type='Adagrad', lr=0.01),
}


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_every_optimizer_resumes_exactly(tmp_path: Path, name: str) -> None:
    run = dict(epochs=2, optimizer=OPTIMIZERS[name])
    toy_runner(tmp_path / 'whole', **run).train()
    train_with_stops(tmp_path / 'broken', (2, 6), 'SIGTERM', **run)
    assert_same(final_state(tmp_path / 'broken'), final_state(tmp_path / 'whole'))


def test_a_run_may_be_made_longer(tmp_path: Path) -> None:
    toy_runner(tmp_path, epochs=1).train()
    runner = toy_runner(tmp_path, epochs=3, resume=True)
    runner.train()
    assert runner.epoch == 3


def test_weights_from_elsewhere_may_fit_in_part(tmp_path: Path) -> None:
    """``load_from`` stays as MMEngine has it, but for what is not a plain tensor."""
    bias = torch.arange(4.0)
    torch.save(dict(state_dict={'head.bias': bias, 'more': bias}), tmp_path / 'part.pth')
    runner = toy_runner(tmp_path / 'run', epochs=1)
    runner._load_from = str(tmp_path / 'part.pth')
    runner.load_or_resume()
    assert isinstance(runner.model, Toy) and isinstance(runner.model.head, nn.Linear)
    assert torch.equal(runner.model.head.bias.cpu(), bias)

    # MAE's own file, a bare one of timm's names, one of ours for another part.
    for state in (dict(model={'blocks.0': bias}), {'head.b': bias}, dict(state_dict={'x': bias})):
        torch.save(state, tmp_path / 'none.pth')
        runner = toy_runner(tmp_path / 'none', epochs=1)
        runner._load_from = str(tmp_path / 'none.pth')
        with pytest.raises(UserError, match='none.pth has no tensor by a name of this model'):
            runner.load_or_resume()

    torch.save(dict(state_dict={'head.bias': bias.to_sparse()}), tmp_path / 'sparse.pth')
    runner = toy_runner(tmp_path / 'other', epochs=1)
    runner._load_from = str(tmp_path / 'sparse.pth')
    with pytest.raises(UserError, match='sparse.pth: head.bias is a sparse tensor'):
        runner.load_or_resume()
