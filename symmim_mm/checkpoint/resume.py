"""Whether a checkpoint is one of this very run: looked at before any of it is loaded.

MMEngine loads what fits and logs the rest, and torch takes an optimizer's state of any shape, which
the kernel of a fused optimizer then reads and writes beyond its end.
"""

from collections.abc import Iterator
from inspect import signature
from itertools import chain
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim import Optimizer

from symmim_mm.checkpoint.state_compat import (
    differences,
    is_count,
    is_dense,
    is_switch,
    shown,
    stands_for,
)
from symmim_mm.utils.errors import UserError

# Parts that every checkpoint of a run has; a number is a count or a seed, from 0.
PARTS = {
    'meta': dict,
    'meta.epoch': int,
    'meta.iter': int,
    'meta.seed': int,
    'meta.stream': dict,
    'state_dict': dict,
    'optimizer': dict,
    'optimizer.state': dict,
    'optimizer.param_groups': list,
    'message_hub': dict,
    'message_hub.log_scalars': dict,
    'message_hub.runtime_info': dict,
    'message_hub.resumed_keys': dict,
}
KINDS = {dict: 'dict', list: 'list', int: 'whole number from 0'}


def check_parts(checkpoint: dict, source: str, more: dict[str, type]) -> None:
    """Demand that a checkpoint has all that a run goes on from.

    Args:
        checkpoint: as it was read.
        source: its file, for the message.
        more: further parts, by their places as in ``PARTS``.

    Raises:
        UserError: a part is missing or of another kind.
    """
    for place, kind in {**PARTS, **more}.items():
        value: Any = checkpoint
        for name in place.split('.'):
            value = value.get(name)
        if not (is_count(value) if kind is int else isinstance(value, kind)):
            found = f'{shown(value)}, not a {KINDS[kind]}' if value is not None else 'missing'
            raise UserError(
                f'--resume: {source} is not a whole checkpoint of a training run: {place} is '
                f'{found}; take it out of the folder, or use another --work-dir'
            )


def check_dense(checkpoint: dict, source: str) -> None:
    """Demand that weights to start from are plain dense tensors.

    Raises:
        UserError: one is sparse, quantised or without values.
    """
    weights = checkpoint.get('state_dict')
    for name, value in (weights if isinstance(weights, dict) else checkpoint).items():
        if isinstance(value, Tensor) and not is_dense(value):
            raise UserError(
                f'checkpoint {source}: {name} is not a dense tensor: take a checkpoint with plain '
                'weights'
            )


def check_fit(runner: Runner, checkpoint: dict, source: str) -> None:
    """Compare a checkpoint with :func:`check_parts` behind it with a run's own state.

    Names, shapes and dtypes of the model; groups of the optimizer, and of the state of each
    parameter also the memory format; settings of the schedules.

    Raises:
        UserError: it is one of another run.
    """
    if difference := next(_misfits(runner, checkpoint), None):
        raise UserError(
            f'--resume: {source} does not belong to this config: {difference}; use another '
            '--work-dir, or the config it was made with'
        )


def _misfits(runner: Runner, checkpoint: dict) -> Iterator[str]:
    """Each difference that forbids going on, in words."""
    yield from _place_misfits(runner, checkpoint['meta'])
    sharded = hasattr(runner, 'strategy')
    if not sharded:  # MMEngine's own resuming builds them here, too, where nothing has before
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        if runner.param_schedulers is not None:
            runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    state = runner.strategy.whole_state if sharded else model.state_dict()
    yield from differences(checkpoint['state_dict'], state, '')
    yield from _version_misfits(checkpoint['state_dict'])

    wrapper, saved = runner.optim_wrapper, checkpoint['optimizer']
    optimizer = wrapper.optimizer
    groups = [group['params'] for group in optimizer.param_groups]
    groups = runner.strategy.whole_groups() if sharded else groups
    yield from _group_misfits(saved['param_groups'], optimizer, groups)
    yield from _state_misfits(saved['state'], optimizer, [*chain(*groups)])
    if 'loss_scaler' in saved and hasattr(wrapper, 'loss_scaler'):
        scaler = wrapper.loss_scaler.state_dict()
        yield from differences(saved['loss_scaler'], scaler, 'optimizer.loss_scaler')
    if runner.param_schedulers is not None:
        yield from _schedule_misfits(checkpoint['param_schedulers'], runner.param_schedulers)


def _place_misfits(runner: Runner, meta: dict) -> Iterator[str]:
    loop, epoch, iteration = runner.train_loop, meta['epoch'], meta['iter']
    if meta['seed'] != runner.seed:
        yield f'meta.seed is {meta["seed"]} there and {runner.seed} here'
    if not stands_for(meta.get('elapsed_s', 0.0), 0.0):
        yield f'meta.elapsed_s is {shown(meta["elapsed_s"])} there'
    if getattr(loop.dataloader.batch_sampler, 'endless', True):
        if iteration > loop.max_iters:
            yield f'it was saved after {iteration} iterations, and {loop.max_iters} are to be done'
        return
    length = len(loop.dataloader)
    if not epoch * length <= iteration <= (epoch + 1) * length:
        yield f'iteration {iteration} is not in epoch {epoch}, of {length} iterations'
    if epoch > loop.max_epochs:
        yield f'it was saved after {epoch} epochs, and {loop.max_epochs} are to be done'


def _version_misfits(state: dict) -> Iterator[str]:
    """What torch keeps beside the weights: the version of each module."""
    versions = getattr(state, '_metadata', {})
    for own in versions.values() if isinstance(versions, dict) else [versions]:
        version = own.get('version') if isinstance(own, dict) else own
        if version is not None and not is_count(version):
            yield f'the version of a module is {shown(version)} there'


def _group_misfits(saved: list, optimizer: Optimizer, groups: list[list[Tensor]]) -> Iterator[str]:
    """Differences of parameter groups; switches that are missing get the optimizer's defaults."""
    if len(saved) != len(groups):
        yield f'the optimizer has {len(saved)} parameter groups there and {len(groups)} here'
        return
    first = 0
    for number, (there, here, params) in enumerate(
        zip(saved, optimizer.param_groups, groups, strict=True)
    ):
        place = f'optimizer.param_groups[{number}]'
        there = there if isinstance(there, dict) else {}
        numbers = there.get('params')
        numbers = list(filter(is_count, numbers)) if isinstance(numbers, list) else []
        if len(numbers) != len(params):
            yield f'{place} has {len(numbers)} parameters there and {len(params)} here'
            return
        if numbers != list(range(first, first + len(params))):
            yield f'{place} has parameters of other groups there'
            return
        first += len(params)
        settings = {
            key: value
            for key, value in here.items()
            if key != 'params' and (key in there or not is_switch(value))
        }
        common = {key: there[key] for key in settings if key in there}
        yield from differences(common, settings, place)


def _state_misfits(saved: dict, optimizer: Optimizer, params: list[Tensor]) -> Iterator[str]:
    """Differences of state; a parameter without a gradient so far has none."""
    made: dict[tuple, dict[str, Any]] = {}
    for number, state in saved.items():
        if type(number) is not int or not 0 <= number < len(params):
            yield f'optimizer.state has a parameter {shown(number)}, which is not in this model'
            return
        like = params[number]
        kind = (like.shape, like.stride(), like.dtype)
        if kind not in made:
            made[kind] = _state_made(optimizer, like)
        yield from differences(state, made[kind], f'optimizer.state[{number}]', memory=True)


def _state_made(optimizer: Optimizer, like: Tensor) -> dict[str, Any]:
    """What an optimizer keeps for a parameter: found by a step of another one, for zeros.

    It has the defaults of the first; groups differ in rates only, which makes no difference here.
    """
    device = optimizer.param_groups[0]['params'][0].device
    parameter = nn.Parameter(torch.zeros_like(like, device=device))
    parameter.grad = torch.zeros_like(parameter)
    takes = signature(type(optimizer)).parameters
    options = {key: value for key, value in optimizer.defaults.items() if key in takes}
    other = type(optimizer)([parameter], **options)
    other.step()
    return other.state[parameter]


def _schedule_misfits(saved: list, schedulers: list) -> Iterator[str]:
    if len(saved) != len(schedulers):
        yield f'it has {len(saved)} param_schedulers, and there are {len(schedulers)} here'
        return
    for number, (there, scheduler) in enumerate(zip(saved, schedulers, strict=True)):
        there = _without_tables(there) if isinstance(there, dict) else there
        here = _without_tables(scheduler.state_dict())
        yield from differences(there, here, f'param_schedulers[{number}]')


def _without_tables(state: dict) -> dict:
    """Leave out milestones, which follow the length of a run, and that may be changed."""
    return {key: value for key, value in state.items() if not isinstance(value, dict)}
