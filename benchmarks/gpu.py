"""All measurements on a GPU host, in one call and one file: steps of every size, the loader."""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from benchmarks.common import environment, say, write_result
from symmim_mm.utils.errors import Fault, UserError

TOOL = Path(__file__).parents[1] / 'tools/benchmark.py'
COMPILED = ('mae', 'mae-stock', 'simmim', 'symmim', 'symmim-sparse', 'symmim-stock')
# In order of importance: the last ones are skipped if time runs out.
PARTS = ('eager l', 'compiled l', 'loader', 'eager b', 'eager s', 'compiled b', 'compiled s')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tools/benchmark.py gpu``."""
    parser.add_argument('--data', help='folder of JPEGs for the loader (default: loader left out)')
    parser.add_argument(
        '--parts', nargs='+', choices=PARTS, default=PARTS, metavar='PART',
        help=f'in this order (default: {", ".join(PARTS)})',
    )  # fmt: skip
    parser.add_argument(
        '--minutes', type=float, default=9.5,
        help='time limit: the running part is stopped, later ones are skipped (default 9.5)',
    )  # fmt: skip
    parser.add_argument('--repeats', type=int, default=7, help='(default 7)')
    parser.add_argument(
        '--batch', type=int, help='images per step (default: as in the recipes: 256, ViT-L 128)'
    )


def run(args: argparse.Namespace) -> dict:
    """Measure part by part, each in a process of its own; the file is written after each.

    Raises:
        UserError: there is no GPU.
        Fault: a part failed or was stopped; the file holds the others.
    """
    import torch

    if not torch.cuda.is_available():
        raise UserError('gpu: torch sees no CUDA device here')
    end = time.monotonic() + 60 * args.minutes
    parts = [part for part in args.parts if part != 'loader' or args.data]
    head = dict(benchmark='gpu', command=shlex.join(['tools/benchmark.py', *sys.argv[1:]]))
    result = dict(
        settings=dict(minutes=args.minutes, precision='bfloat16'),
        repeats=args.repeats,
        environment=environment(),
        parts={},
        left_out={},
    )
    with tempfile.TemporaryDirectory(prefix='symmim-gpu-') as folder:
        for part in parts:
            path = Path(folder) / f'{part}.json'
            problem = _run(part_command(part, args, path), end - time.monotonic())
            if problem:
                say(f'{part}: {problem}')
                result['left_out'][part] = problem
            else:
                result['parts'][part] = json.loads(path.read_text())
            write_result(args.json, head | result)
    if result['left_out']:
        problems = '; '.join(f'{part}: {problem}' for part, problem in result['left_out'].items())
        raise Fault(f'{args.json} holds {len(result["parts"])} of {len(parts)} parts. {problems}')
    return result


def part_command(part: str, args: argparse.Namespace, path: Path) -> list[str]:
    """Return the command line of a part, which writes its result to ``path``."""
    if part == 'loader':
        cores = len(os.sched_getaffinity(0))
        words = ['loader', '--data', args.data, '--prepared', '320', '--workers', str(cores)]
        words += ['--repeats', str(args.repeats)]
    else:
        kind, size = part.split()
        words = ['step', '--sizes', size, '--device', 'cuda', '--amp', '--peak']
        words += ['--repeats', str(args.repeats)]
        if args.batch:
            words += ['--batch', str(args.batch)]
        if kind == 'compiled':
            # The stock ones stay eager and are there to be compared with in the same run.
            words += ['--compile', '--methods', *COMPILED]
    return [sys.executable, str(TOOL), *words, '--json', str(path)]


def _run(command: list[str], seconds: float) -> str | None:
    """Run a part and return its problem, or None."""
    if seconds <= 0:
        return 'no time was left'
    say(f'{shlex.join(command[1:-2])}, at most {seconds:.0f} s')
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return f'stopped after {seconds:.0f} s'
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # its loader workers with it
            process.wait()
    return None if code == 0 else f'ended with code {code}'


def tables(result: dict) -> dict[str, str]:
    """Return Markdown tables of a result: those of the parts, by their names."""
    found = {}
    for part, measured in result['parts'].items():
        module = import_module(f'benchmarks.{measured["benchmark"]}')
        for name, table in module.tables(measured).items():
            found[f'{part}: {name}'] = table
    return found
