"""All that a GPU host is to show, in one call and one file: tests, steps, the loader, a study."""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from benchmarks.common import environment, problem_of, say, write_result
from symmim_mm.utils.errors import Fault, UserError
from symmim_mm.utils.host import available_cores

TOOL = Path(__file__).parents[1] / 'tools/benchmark.py'
PARTS = {  # in order of worth: its share of the minutes at most
    'checks': 0.45,
    'steps l': 0.6,
    'transfer b': 0.2,
    'loader': 0.3,
    'steps b': 0.3,
    'study': 1.0,
    'steps s': 0.3,
    'transfer l': 0.2,
}
SPARE_S = 40  # of a part's time: for imports, and to end what runs (a suite takes 20)
FULL = {
    'checks': '--processes {processes}',
    # What runs out of time is named last; a compiled method shares the model of its plain one.
    'steps': '--sizes {size} --device cuda --amp --repeats {repeats} --methods symmim '
    'symmim-compiled symmim-dense symmim-dense-compiled symmim-stock simmim mae mae-compiled '
    'mae-stock simmim-compiled symmim-checkpointed symmim-dense-checkpointed '
    '--profile symmim symmim-compiled symmim-stock',
    'transfer': '--size {size} --amp --batch 4 --repeats {repeats}',
    'loader': '--prepared 320 --workers {cores} --repeats 3',  # a minute
    'study': '--amp',
}
TOY = {
    # One method: the others differ in their models alone.
    'checks': '--rehearse --select "test_parts or symmim or knn or on_one_device"',
    'steps': '--sizes quickstart --device cpu --repeats 1 --batch 2 --methods mae mae-stock '
    'symmim-dense symmim-stock mae-compiled',
    'transfer': '--size quickstart --device cpu --repeats 1 --steps 1',
    'loader': '--prepared 64 --workers 1 --repeats 1 --size 32',
    'study': '--epochs 1 --width 64 --batch 8 --jobs 1 --conditions mae',
}
REHEARSED = ('checks', 'steps l', 'transfer b', 'loader', 'study')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tools/benchmark.py gpu``."""
    parser.add_argument('--data', help='folder of JPEGs for the loader (default: loader left out)')
    parser.add_argument('--cifar10', help='CIFAR-10 for the study (default: study left out)')
    parser.add_argument(
        '--parts', nargs='+', choices=PARTS, metavar='PART',
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
    parser.add_argument(
        '--rehearse', action='store_true',
        help='every kind of part at toy size on the CPU, on drawn images: figures mean nothing',
    )  # fmt: skip


def run(args: argparse.Namespace) -> dict:
    """Measure part by part, each in a process of its own; the file is written after each.

    Raises:
        UserError: there is no GPU, or no data for a part.
        Fault: a part failed or was stopped; the file holds the others.
    """
    import torch

    for part, option, folder in (
        ('loader', '--data', args.data), ('study', '--cifar10', args.cifar10)
    ):  # fmt: skip
        if folder is None and part in (args.parts or ()) and not args.rehearse:
            raise UserError(f'--parts {part} needs {option} FOLDER')
        if folder is not None and not Path(folder).is_dir():
            raise UserError(f'{option} {folder}: there is no such folder')
    if not args.rehearse and not torch.cuda.is_available():
        raise UserError('gpu: torch sees no CUDA device here')
    start = time.monotonic()
    seconds = 60 * args.minutes
    head = dict(benchmark='gpu', command=shlex.join(['tools/benchmark.py', *sys.argv[1:]]))
    result = dict(
        settings=dict(minutes=args.minutes, rehearsal=args.rehearse),
        repeats=args.repeats,
        environment=environment(),
        parts={},
        problems={},
        seconds={},
    )
    # Compilation takes minutes on a CPU, and is tested there by itself.
    env = dict(CUDA_VISIBLE_DEVICES='', TORCH_COMPILE_DISABLE='1') if args.rehearse else {}
    with tempfile.TemporaryDirectory(prefix='symmim-gpu-') as folder:
        if args.rehearse:
            _draw_data(args, Path(folder) / 'data')
        parts = args.parts or [
            part
            for part in (REHEARSED if args.rehearse else PARTS)
            if (part != 'loader' or args.data) and (part != 'study' or args.cifar10)
        ]
        for part in parts:
            began = time.monotonic()
            left = seconds - (began - start)
            limit = min(left, PARTS[part] * seconds)
            path = Path(folder) / 'part.json'
            problem = _run(part_command(part, args, path, limit), limit, **env)
            result['seconds'][part] = round(time.monotonic() - began, 1)
            if path.is_file():  # also of a part that found a failure
                result['parts'][part] = json.loads(path.read_text())
                path.unlink()
                problem = problem_of(result['parts'][part]) or problem
            if problem:
                say(f'{part}: {problem}')
                result['problems'][part] = problem
            write_result(args.json, head | result)
    if result['problems']:
        problems = '; '.join(f'{part}: {problem}' for part, problem in result['problems'].items())
        raise Fault(f'{args.json} holds {len(result["parts"])} of {len(parts)} parts. {problems}')
    return result


def _draw_data(args: argparse.Namespace, folder: Path) -> None:
    """Draw JPEGs for the loader and, in CIFAR-10's layout, images for the study."""
    from PIL import Image

    from symmim_mm.datasets.sample.generate import write_sample_data

    write_sample_data(folder, train=260, val=40, coco_train=6, coco_val=6, ade_train=6, ade_val=6)
    images, jpegs = folder / 'imagenet', folder / 'jpegs'
    (images / 'val').rename(images / 'test')
    jpegs.mkdir()
    for number, path in enumerate(sorted(images.glob('train/*/*'))):
        Image.open(path).convert('RGB').resize((160, 120)).save(jpegs / f'{number}.jpg')
    args.data, args.cifar10 = str(jpegs), str(images)


def part_command(part: str, args: argparse.Namespace, path: Path, limit: float) -> list[str]:
    """Return the command line of a part, which writes its result to ``path``.

    Args:
        part: one of ``PARTS``.
        args: of :func:`run`.
        path: the file.
        limit: seconds that the part may take.
    """
    kind, _, size = part.partition(' ')
    minutes = f'{max(1, limit - SPARE_S) / 60:.2f}'
    words = {
        'checks': ['checks', '--minutes', minutes],
        'steps': ['step', '--peak', '--minutes', minutes],
        'transfer': ['transfer'],
        'loader': ['loader', '--data', args.data],
        'study': ['study', '--data', args.cifar10, '--minutes', minutes],
    }[kind]
    cores, repeats = available_cores(), args.repeats
    options = (TOY if args.rehearse else FULL)[kind]
    words += shlex.split(
        options.format(size=size, cores=cores, processes=min(6, cores), repeats=repeats)
    )
    if kind == 'steps' and args.batch:
        words += ['--batch', str(args.batch)]
    return [sys.executable, str(TOOL), *words, '--json', str(path)]


def _run(command: list[str], seconds: float, **env: str) -> str | None:
    """Run a part and return its problem, or None."""
    if seconds <= 0:
        return 'no time was left'
    say(f'{shlex.join(command[1:-2])}, at most {seconds:.0f} s')
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, start_new_session=True, env=os.environ | env
    )
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return f'stopped after {seconds:.0f} s'
    finally:
        with suppress(ProcessLookupError):  # loader workers, or what interrupted tests left running
            os.killpg(process.pid, signal.SIGKILL)
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
