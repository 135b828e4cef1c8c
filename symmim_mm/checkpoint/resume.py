"""Check that a checkpoint belongs to the run that resumes from it, before any of it is loaded.

MMEngine loads what fits and logs the rest, and torch takes an optimizer state of any shape, which
the kernel of a fused optimizer then reads and writes beyond its end.
"""

import math
from collections.abc import Iterator
from inspect import signature
from itertools import chain
from typing import Any

import torch
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim import Optimizer

from symmim_mm.checkpoint.weights import not_plain
from symmim_mm.utils.dist import unwrap
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import short

PARTS = {
    **dict.fromkeys(('meta', 'meta.stream', 'state_dict', 'optimizer', 'optimizer.state'), dict),
    **dict.fromkeys(('message_hub', 'message_hub.log_scalars', 'message_hub.runtime_info'), dict),
    'message_hub.resumed_keys': dict,
    'optimizer.param_groups': list,
    **dict.fromkeys(('meta.epoch', 'meta.iter', 'meta.seed'), int),  # from 0
}
MISSING = object()


def check_parts(checkpoint: dict, source: str, more: dict[str, type]) -> None:
    """Check that a checkpoint of the file ``source`` has ``PARTS`` and ``more``.

    Raises:
        UserError: a part is missing or of another type.
    """
    for name, kind in {**PARTS, **more}.items():
        value: Any = checkpoint
        for key in name.split('.'):
            value = value.get(key, MISSING)
        if not isinstance(value, kind) or kind is int and not (_is_number(value) and value >= 0):
            raise UserError(
                f'--resume: {source} is not a whole checkpoint of a training run: {name} is '
                f'{_shown(value)}; take it out of the folder, or use another --work-dir'
            )


def check_fit(runner: Runner, checkpoint: dict, source: str) -> None:
    """Check that a checkpoint that passed :func:`check_parts` is one of this run.

    Compares the seed, the position, and all names, shapes and dtypes of model, optimizer and
    schedules.

    Raises:
        UserError: it is one of another run.
    """
    # Without the modules' versions, which torch keeps as an attribute: names are compared instead.
    checkpoint['state_dict'] = dict(checkpoint['state_dict'])
    if difference := next(_run_differences(runner, checkpoint), None):
        raise UserError(
            f'--resume: {source} does not belong to this config: {difference}; use another '
            '--work-dir, or the config it was made with'
        )


def whole_state(runner: Runner) -> dict[str, Tensor]:
    """Return the model's state by the names of an unsharded model; of a sharded one shapes only."""
    if hasattr(runner, 'strategy'):
        return runner.strategy.whole_state
    return unwrap(runner.model).state_dict()


def _run_differences(runner: Runner, checkpoint: dict) -> Iterator[str]:
    yield from _position_differences(runner, checkpoint['meta'])
    sharded = hasattr(runner, 'strategy')
    if not sharded:  # MMEngine builds them when it resumes, which is later
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        if runner.param_schedulers is not None:
            runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    yield from differences(checkpoint['state_dict'], whole_state(runner), '')

    wrapper, saved = runner.optim_wrapper, checkpoint['optimizer']
    groups = [group['params'] for group in wrapper.optimizer.param_groups]
    groups = runner.strategy.whole_groups() if sharded else groups
    yield from _optimizer_differences(saved, wrapper.optimizer, groups)
    scaler = wrapper.loss_scaler.state_dict() if hasattr(wrapper, 'loss_scaler') else {}
    if scaler and 'loss_scaler' in saved:  # one that is turned off has no state
        yield from differences(saved['loss_scaler'], scaler, 'optimizer.loss_scaler')
    if runner.param_schedulers is not None:
        current = [scheduler.state_dict() for scheduler in runner.param_schedulers]
        # Milestones follow the length of a run, and that may be changed.
        both = (
            [found | {'milestones': None} if isinstance(found, dict) else found for found in states]
            for states in (checkpoint['param_schedulers'], current)
        )
        yield from differences(*both, 'param_schedulers')


def _position_differences(runner: Runner, meta: dict) -> Iterator[str]:
    loop, epoch, iteration = runner.train_loop, meta['epoch'], meta['iter']
    if meta['seed'] != runner.seed:
        yield f'meta.seed is {meta["seed"]} in the checkpoint and {runner.seed} here'
    if getattr(loop.dataloader.batch_sampler, 'endless', True):
        if iteration > loop.max_iters:
            yield f'it was saved after {iteration} iterations, and {loop.max_iters} are to be done'
        return
    length = len(loop.dataloader)
    if not epoch * length <= iteration <= (epoch + 1) * length:
        yield f'iteration {iteration} is not in epoch {epoch}, of {length} iterations'
    if epoch > loop.max_epochs:
        yield f'it was saved after {epoch} epochs, and {loop.max_epochs} are to be done'


def _optimizer_differences(
    saved: dict, optimizer: Optimizer, groups: list[list[Tensor]]
) -> Iterator[str]:
    """Compare groups and state; a parameter without a gradient so far has no state."""
    params = list(chain(*groups))
    indices = iter(range(len(params)))
    current = []
    saved_groups = (group if isinstance(group, dict) else {} for group in saved['param_groups'])
    for group, members in zip(optimizer.param_groups, groups, strict=True):
        then = next(saved_groups, {})
        # A setting that only one version of the optimizer has gets its default.
        settings = {key: group[key] for key in group if key in then or key == 'lr'}
        current.append({**then, **settings, 'params': [next(indices) for _ in members]})
    yield from differences(saved['param_groups'], current, 'optimizer.param_groups')
    if [group['params'] for group in saved['param_groups']] != [g['params'] for g in current]:
        yield 'its optimizer has the parameters in another order'

    made: dict[tuple, dict[str, Any]] = {}
    for index, state in saved['state'].items():
        if type(index) is not int or not 0 <= index < len(params):
            yield f'optimizer.state has parameter {_shown(index)}, which is not in this model'
            return
        like = params[index]
        kind = (like.shape, like.stride(), like.dtype)
        if kind not in made:
            made[kind] = _new_state(optimizer, like)
        yield from differences(state, made[kind], f'optimizer.state[{index}]')


def _new_state(optimizer: Optimizer, like: Tensor) -> dict[str, Any]:
    """Return what an optimizer of this kind keeps for a parameter after its first step."""
    device = optimizer.param_groups[0]['params'][0].device
    parameter = nn.Parameter(torch.zeros_like(like, device=device))
    parameter.grad = torch.zeros_like(parameter)
    takes = signature(type(optimizer)).parameters
    options = {key: value for key, value in optimizer.defaults.items() if key in takes}
    other = type(optimizer)([parameter], **options)
    other.step()
    return other.state[parameter]


def differences(saved: Any, current: Any, name: str) -> Iterator[str]:
    """Yield where a saved value cannot take the place of the run's own.

    Names, lengths, types, shapes, dtypes and memory formats must be equal, and numbers finite. A
    dict whose ``name`` is empty has names that stand alone.
    """
    if isinstance(saved, dict) and isinstance(current, dict):
        for key in chain(current, (key for key in saved if key not in current)):
            inner = f'{name}.{_shown(key)}' if name else _shown(key)
            yield from differences(saved.get(key, MISSING), current.get(key, MISSING), inner)
    elif isinstance(saved, list | tuple) and isinstance(current, list | tuple):
        if len(saved) != len(current):
            yield f'{name} has {len(saved)} entries in the checkpoint and {len(current)} here'
            return
        for index, pair in enumerate(zip(saved, current, strict=True)):
            yield from differences(*pair, f'{name}[{index}]')
    elif isinstance(saved, Tensor) and (problem := not_plain(saved)):
        yield f'{name} {problem}'
    elif not _fits(saved, current):
        yield f'{name} is {_shown(saved)} in the checkpoint and {_shown(current)} here'


def _fits(saved: Any, current: Any) -> bool:
    if isinstance(saved, Tensor) and isinstance(current, Tensor):
        # Shown are shape, dtype and strides.
        same = _shown(saved) == _shown(current)
        return same and (saved.ndim > 0 or math.isfinite(saved.item()))
    if current is None:  # left to the library
        return saved is None or isinstance(saved, bool | str) or _is_number(saved)
    if _is_number(current):
        return _is_number(saved) and (math.isfinite(saved) or not math.isfinite(current))
    return type(saved) is type(current)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or type(value) is int and value.bit_length() < 64


def _shown(value: Any) -> str:
    if value is MISSING:
        return 'missing'
    # A sharded run knows its own tensors by their shapes alone.
    if isinstance(value, Tensor) and (value.is_meta or not not_plain(value)):
        strides = '' if value.is_contiguous() else f' with strides {value.stride()}'
        return f'{tuple(value.shape)} of {value.dtype}{strides}'
    if isinstance(value, str):
        return short(value)
    plain = value is None or isinstance(value, bool) or _is_number(value)
    return repr(value) if plain else f'of type {type(value).__name__}'
