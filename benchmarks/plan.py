"""Hours and memory of a full run, from a measured step and the plan of its config."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import markdown, say
from benchmarks.step_tables import SIZES, TITLES
from symmim_mm.cli.training import OptionsAction
from symmim_mm.config.load import load_config
from symmim_mm.utils.errors import UserError

if TYPE_CHECKING:
    from symmim_mm.planning.run_plan import RunPlan

GIB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tools/benchmark.py plan``."""
    parser.add_argument('config', help='of a pre-training')
    parser.add_argument(
        '--measured', required=True, metavar='FILE', help='JSON of tools/benchmark.py step or gpu'
    )
    parser.add_argument('--gpus', type=int, default=1, metavar='N', help='(default 1)')
    parser.add_argument(
        '--loader', metavar='FILE', help='JSON of tools/benchmark.py loader: how many cores feed it'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, metavar='KEY=VALUE',
        help='changes of the config, e.g. activation_checkpointing=True recipe.epochs=300',
    )  # fmt: skip


def run(args: argparse.Namespace) -> dict:
    """Plan the run and combine it with the measured step.

    Raises:
        UserError: a config that cannot run, or no measurement of such a step.
    """
    from benchmarks.step_cases import identity
    from symmim_mm.apis.plan import silence_libraries
    from symmim_mm.planning.run_plan import plan_run

    if args.gpus < 1:
        raise UserError(f'--gpus must be at least 1, got {args.gpus}')
    measured = read_result(args.measured)
    cfg = load_config(args.config, cfg_options=args.cfg_options, check_data=False)
    if cfg.run.task != 'pretrain':
        raise UserError(
            f'{args.config} is no pre-training: only steps of pre-trainings are measured'
        )
    checkpointed = bool(cfg.get('activation_checkpointing', False))
    entry = find_entry(measured, identity(cfg), checkpointed, args.measured)
    silence_libraries()
    plan = plan_run(cfg, args.gpus)
    if plan.length is None:
        raise UserError(f'{args.config}: the number of images is unknown while the data are absent')
    say(f'measured: {entry["name"]} in {args.measured}')
    environment = entry['environment']
    return dict(
        config=args.config,
        gpus=args.gpus,
        settings=dict(entry['settings']),
        repeats=entry['repeats'],
        environment=environment,
        measured=dict(
            file=args.measured,
            name=entry['name'],
            date=environment['date'],
            on=device_of(entry),
            settings=entry['settings'],
            batch=entry['batch'],
            rate=entry['rate'],
        ),
        run=cost(entry, plan, args.gpus),
        loader=loader_need(args.loader, measured) if args.loader else None,
    )


def read_result(path: str) -> list[dict]:
    """Return the measured steps of ours in a result of ``step`` or ``gpu``.

    Each has its ``name``, and the settings, repeats and environment of its measurement.

    Raises:
        UserError: it is none.
    """
    try:
        result = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f'--measured {path} cannot be read: {error}') from error
    parts = result.get('parts', {}) if result.get('benchmark') == 'gpu' else dict(step=result)
    steps = [
        case
        | dict(name=f'{TITLES[method]} {SIZES[size]}')
        | {key: part[key] for key in ('settings', 'repeats', 'environment')}
        for part in parts.values()
        if part.get('benchmark') == 'step'
        for size, cases in part['sizes'].items()
        for method, case in cases.items()
        if not case['stock']
    ]
    if not steps:
        raise UserError(f'--measured {path} holds no measured step: make it with benchmark.py step')
    return steps


def find_entry(measured: list[dict], wanted: dict, checkpointed: bool, path: str) -> dict:
    """Return the fastest measured step of a model.

    Args:
        measured: of :func:`read_result`.
        wanted: of ``step_cases.identity``.
        checkpointed: whether with activation checkpointing.
        path: of the file, for the message.

    Raises:
        UserError: there is none; the message lists those there are.
    """
    found = [
        case
        for case in measured
        if case['model'] == wanted and case['checkpointed'] == checkpointed
    ]
    if not found:
        mode = 'with' if checkpointed else 'without'
        raise UserError(
            f'{path} has no measurement of {wanted["method"]}, arch {wanted["arch"]}, '
            f'{wanted["img_size"]} pixels, encoding {wanted["encoding"]}, {mode} activation '
            f'checkpointing; it has {", ".join(dict.fromkeys(case["name"] for case in measured))}: '
            'measure it with tools/benchmark.py step'
        )
    return max(found, key=lambda case: case['rate']['median'])


def device_of(entry: dict) -> str:
    """Return the device that a step was measured on."""
    environment = entry['environment']
    if entry['settings']['device'] == 'cuda':
        return environment['gpus'][0]
    return f'{environment["threads"]} thread of {environment["processor"]}'


def cost(entry: dict, plan: 'RunPlan', gpus: int) -> dict:
    """Return hours and bytes of a run on devices like the measured one.

    Hours are of steps alone: no waiting for images or for other GPUs, no checkpoints.
    """
    rate = entry['rate']
    seen = plan.length.images_seen
    hours = {name: seen / (gpus * rate[name]) / 3600 for name in ('median', 'low', 'high')}
    memory = None
    if 'memory' in entry:
        step = entry['memory']['fixed'] + entry['memory']['each'] * plan.batch.per_process
        memory = plan.memory.total + step
    return dict(
        images=seen,
        epochs=plan.length.epochs,
        steps=plan.length.steps,
        per_process=plan.batch.per_process,
        accumulation=plan.batch.accumulation,
        rate_needed=gpus * rate['median'],
        hours=hours,
        gpu_hours=gpus * hours['median'],
        memory=memory,
    )


def loader_need(path: str, measured: list[dict]) -> dict:
    """Return the cores that a device needs for each step, by the measured rates of the loader.

    Args:
        path: JSON of ``tools/benchmark.py loader``.
        measured: of :func:`read_result`.

    Raises:
        UserError: it is no such file.
    """
    try:
        result = json.loads(Path(path).read_text())
        cores = {
            name: {
                step['name']: step['rate']['median'] / case['rate']['median'] for step in measured
            }
            for name, case in result['alone'].items()
        }
        return dict(file=path, processor=result['environment']['processor'], cores=cores)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f'--loader {path} is no result of benchmark.py loader: {error}') from error


def _count(hours: float) -> str:
    return f'{hours:,.0f}' if hours >= 100 else f'{hours:.3g}'


def tables(result: dict) -> dict[str, str]:
    """Return Markdown tables of a result: ``cost``, and ``loader`` if there is one."""
    run, measured = result['run'], result['measured']
    hours = run['hours']
    rows = [
        ['measured', f'{measured["name"]} on {measured["on"]}, {measured["date"]}'],
        ['', ', '.join(f'{key} {value}' for key, value in measured['settings'].items())],
        ['rate', f'{measured["rate"]["median"]:.4g} images per second in steps of '
                 f'{measured["batch"]} images'],
        ['run', f'{run["epochs"]:.4g} epochs, {run["images"]:,} images, '
                f'{run["steps"]:,} optimizer steps'],
        ['devices', f'{result["gpus"]}, each {run["per_process"]} images x '
                    f'{run["accumulation"]} micro-batches per step'],
        ['time', f'{_count(hours["median"])} hours ({_count(hours["high"])} to '
                 f'{_count(hours["low"])}), of steps alone'],
        ['', f'{_count(run["gpu_hours"])} device hours'],
        ['memory', 'not measured' if run['memory'] is None
         else f'{run["memory"] / GIB:.1f} GiB per device'],
        ['loader', f'must give {measured["rate"]["median"]:.4g} images per second to each device'],
    ]  # fmt: skip
    found = {'cost': markdown(['', result['config']], rows)}
    if result['loader']:
        cores = result['loader']['cores']
        rows = [[name, *(f'{count:.1f}' for count in row.values())] for name, row in cores.items()]
        header = [f'cores ({result["loader"]["processor"]}) a device', *next(iter(cores.values()))]
        found['loader'] = markdown(header, rows)
    return found
