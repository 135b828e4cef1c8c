"""Resuming goes on from a checkpoint of the same run, and refuses anything else in one line."""

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


def inside(checkpoint: dict, place: str | tuple) -> tuple:
    """What holds an entry, and its key there; places in words have ``/`` between."""
    if isinstance(place, str):
        place = tuple(int(name) if name.isdigit() else name for name in place.split('/'))
    for name in place[:-1]:
        checkpoint = checkpoint[name]
    return checkpoint, place[-1]


def put(place: str | tuple, value: object) -> Callable[[dict], None]:
    def change(checkpoint: dict) -> None:
        holder, key = inside(checkpoint, place)
        holder[key] = value

    return change


def drop(place: str) -> Callable[[dict], None]:
    def change(checkpoint: dict) -> None:
        holder, key = inside(checkpoint, place)
        del holder[key]

    return change


MOMENT = 'optimizer/state/0/exp_avg'
GROUP = 'optimizer/param_groups/0'
SCHEDULE = 'param_schedulers/0'
WRONG = {
    'no weights': (drop('state_dict'), 'state_dict is missing'),
    'no optimizer': (drop('optimizer'), 'optimizer is missing'),
    'no schedules': (drop('param_schedulers'), 'param_schedulers is missing'),
    'no log': (drop('message_hub'), 'message_hub is missing'),
    'half a log': (drop('message_hub/log_scalars'), 'message_hub.log_scalars is missing'),
    'no meta': (drop('meta'), 'meta is missing'),
    'meta of None': (put('meta', None), 'meta is missing; take it out of the folder'),
    'optimizer of None': (put('optimizer', None), 'optimizer is missing'),
    'epoch as text': (put('meta/epoch', '1'), "meta.epoch is '1', not a whole number from 0"),
    'epoch NaN': (put('meta/epoch', float('nan')), 'meta.epoch is nan'),
    'epoch negative': (put('meta/epoch', -1), 'meta.epoch is -1'),
    'epoch True': (put('meta/epoch', True), 'meta.epoch is True'),
    'epoch without end': (put('meta/epoch', HUGE), 'meta.epoch is of type int'),
    'epoch too large': (put('meta/epoch', 10**9), 'iteration 5 is not in epoch 1000000000, of 5'),
    'iteration too large': (put('meta/iter', 16), 'iteration 16 is not in epoch 1, of 5'),
    'no iteration': (drop('meta/iter'), 'meta.iter is missing'),
    'another seed': (put('meta/seed', 4), 'meta.seed is 4 there and 3 here'),
    'time as text': (put('meta/elapsed_s', 'x'), "meta.elapsed_s is 'x' there"),
    'versions as text': (
        lambda found: setattr(found['state_dict'], '_metadata', {'': {'version': 'x'}}),
        "version of a module is 'x'",
    ),
    'stream as text': (put('meta/stream', 'x'), "meta.stream is 'x', not a dict"),
    'stream in part': (drop('meta/stream/batch'), 'meta.stream.batch is missing'),
    'weights missing': (drop('state_dict/head.bias'), 'head.bias is missing there'),
    'weights too many': (put('state_dict/x', torch.zeros(1)), 'x is not in this run'),
    'weights wider': (
        put('state_dict/head.bias', torch.zeros(8)),
        r'head.bias is \(8,\) there and \(4,\) here; use another --work-dir, or the config it was',
    ),
    'weights broadcast': (put('state_dict/head.bias', torch.zeros(())), r'is \(\) there'),
    'weights double': (put('state_dict/head.bias', torch.zeros(4).double()), 'float64 there and'),
    'weights sparse': (put('state_dict/head.bias', torch.zeros(4).to_sparse()), 'not a dense'),
    'weights without values': (
        put('state_dict/head.bias', torch.zeros(4, device='meta')), 'not a dense tensor',
    ),
    'weights as text': (put('state_dict/head.bias', 'x'), "head.bias is 'x' there"),
    'moment too short': (
        put(MOMENT, torch.zeros(3)),
        r'optimizer.state\[0\].exp_avg is \(3,\) there and \(8, 4\) here',
    ),
    'moment of one number': (put(MOMENT, torch.zeros(1).expand(8, 4)), 'another order'),
    'moment turned': (put(MOMENT, torch.zeros(4, 8).t()), 'another order'),
    'moment sparse': (put(MOMENT, torch.zeros(8, 4).to_sparse()), 'not a dense tensor'),
    'moment double': (put(MOMENT, torch.zeros(8, 4).double()), 'float64 there'),
    'moment a number': (put(MOMENT, 0.0), 'exp_avg is 0.0 there'),
    'no moment': (drop(MOMENT), 'exp_avg is missing there'),
    'steps a row': (put('optimizer/state/0/step', torch.ones(8)), r'step is \(8,\) there and \(\)'),
    'steps NaN': (put('optimizer/state/0/step', torch.tensor(torch.nan)), 'step is nan there'),
    'state of another': (put('optimizer/state/6', {}), 'has a parameter 6'),
    'state of a name': (put('optimizer/state/x', {}), "has a parameter 'x'"),
    'two groups': (
        lambda found: found['optimizer']['param_groups'].append({}),
        '2 parameter groups there and 1 here',
    ),
    'too few parameters': (put(f'{GROUP}/params', [0, 1]), '2 parameters there and 6 here'),
    'parameters mixed up': (put(f'{GROUP}/params', [0, 1, 2, 3, 5, 4]), 'of other groups there'),
    'parameters twice': (put(f'{GROUP}/params', [0] * 6), 'of other groups there'),
    'parameters as tensors': (put(f'{GROUP}/params', [torch.zeros(2)] * 6), '0 parameters there'),
    'rate NaN': (put(f'{GROUP}/lr', float('nan')), r'param_groups\[0\].lr is nan there'),
    'rate as text': (put(f'{GROUP}/lr', 'x'), r"lr is 'x' there"),
    'no rate': (drop(f'{GROUP}/lr'), 'lr is missing there'),
    'three betas': (put(f'{GROUP}/betas', (0.9, 0.9, 0.9)), 'betas is of type tuple there'),
    'two schedules': (
        lambda found: found['param_schedulers'].append({}), '2 param_schedulers, and there are 1',
    ),
    'another schedule': (put(SCHEDULE, dict(gamma=0.1)), r'param_schedulers\[0\].\w+ is missing'),
    'base rates': (put(f'{SCHEDULE}/base_values', [0.1, 0.1]), 'base_values is of type list'),
    'steps of a schedule': (put(f'{SCHEDULE}/last_step', HUGE), 'last_step is of type int there'),
}  # fmt: skip


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


def places(value: object, place: tuple = ()) -> list[tuple]:
    """Where every entry of nested dicts and lists stands."""
    if not isinstance(value, dict | list):
        return []
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    return [
        found for key, inner in entries for found in ((*place, key), *places(inner, (*place, key)))
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
    """Whatever stands in whatever place, nothing but ``UserError`` comes of loading it."""
    checkpoint = copy.deepcopy(saved)
    place = data.draw(st.sampled_from(places(saved)))
    put(place, data.draw(st.sampled_from(JUNK)))(checkpoint)
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
def test_every_optimizer_goes_on_exactly(tmp_path: Path, name: str) -> None:
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

    torch.save(dict(state_dict={'head.bias': bias.to_sparse()}), tmp_path / 'sparse.pth')
    runner = toy_runner(tmp_path / 'other', epochs=1)
    runner._load_from = str(tmp_path / 'sparse.pth')
    with pytest.raises(UserError, match='sparse.pth: head.bias is not a dense tensor'):
        runner.load_or_resume()
