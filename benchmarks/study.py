"""Study (a) of docs/evidence.md at the size of a GPU, shrunk to the minutes that there are.

Twenty steps of its slowest condition are timed; the length of the pre-trainings follows from them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import environment, markdown, say
from symmim_mm.datasets.folder_scan import FolderScan
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.host import available_cores

ROOT = Path(__file__).parents[1]
# The most informative first.
CONDITIONS = (
    'checkerboard', 'mae', 'checkerboard_contrast', 'random50', 'simmim', 'contrast',
    'random50_contrast', 'checkerboard_contrast_whole', 'symmim_literal',
)  # fmt: skip
SLOWEST = 'symmim_literal'
EPOCHS = (1, 2, 5, 10, 20, 40, 80)
STARTS_S = 40  # imports, k-NN and linear probe of a condition
TIMED_STEPS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tools/benchmark.py study``."""
    parser.add_argument('--data', required=True, help='CIFAR-10: train/<class>/, test/<class>/')
    parser.add_argument('--minutes', type=float, default=5, help='for all of it (default 5)')
    parser.add_argument('--width', type=int, default=192, help='of the ViT (default 192)')
    parser.add_argument(
        '--conditions', nargs='+', choices=CONDITIONS, default=CONDITIONS[:5], metavar='NAME',
        help=f'of {", ".join(CONDITIONS)} (default: the first five)',
    )  # fmt: skip
    parser.add_argument('--seeds', type=int, default=1, help='(default 1)')
    parser.add_argument(
        '--jobs', type=int, default=max(1, available_cores() // 3),
        help='runs at a time; a small ViT leaves a GPU waiting (default: a third of the cores)',
    )  # fmt: skip
    parser.add_argument('--batch', type=int, default=256, help='images per step (default 256)')
    parser.add_argument('--epochs', type=int, help='(default: what the minutes allow)')
    parser.add_argument('--amp', action='store_true', help='bfloat16; needs a GPU')


def run(args: argparse.Namespace) -> dict:
    """Time, choose the length, run the suite; return the records of what was finished.

    Raises:
        UserError: the data are not there, or even one epoch does not fit.
    """
    from symmim_mm.apis.own_data.pretrain import measure_rate

    end = time.monotonic() + 60 * args.minutes
    data = Path(args.data).resolve()
    if not (data / 'train').is_dir() or not (data / 'test').is_dir():
        raise UserError(f'--data {args.data}: needs train/<class>/ and test/<class>/')
    if args.jobs < 1:
        raise UserError(f'--jobs must be 1 or more, got {args.jobs}')
    workers = max(1, available_cores() // args.jobs - 1)
    with tempfile.TemporaryDirectory(prefix='symmim-study-') as folder:
        place = Path(folder)
        os.environ['CIFAR10_ROOT'] = str(data)
        images, rate = None, None
        epochs = args.epochs
        if epochs is None:
            config = write_config(place, SLOWEST, 1, args, workers)
            rate = measure_rate(config.read_text(), None, steps=TIMED_STEPS, amp=args.amp)
            images = sum(1 for _ in FolderScan(str(data / 'train')).images())
            epochs = choose_epochs(images, rate, end - time.monotonic(), args)
        say(f'{len(args.conditions)} conditions, {args.seeds} seeds, {epochs} epochs each')
        suite = write_suite(place, epochs, args, workers)
        work = place / 'work'
        words = [sys.executable, 'tools/run_suite.py', str(suite), '--work-dir', str(work)]
        words += ['--jobs', str(args.jobs)]
        process = subprocess.Popen(words, cwd=ROOT, stdout=sys.stderr)
        try:
            code = process.wait(max(1.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.terminate()
            code = process.wait()
        configs = {path.name: path.read_text() for path in sorted(place.glob('*.py'))}
        records = {
            path.parent.name: json.loads(path.read_text().replace(f'{place}/', ''))
            for path in sorted(work.glob('*/result.json'))
        }
        failed = {
            path.parent.name: path.read_text(errors='replace')[-3000:]
            for path in sorted(work.glob('*/log.txt'))
            if path.parent.name not in records
        }
        shutil.rmtree(work, ignore_errors=True)
    return dict(
        settings=dict(
            epochs=epochs, width=args.width, batch=args.batch, seeds=args.seeds, jobs=args.jobs,
            workers=workers, precision='bfloat16' if args.amp else 'float32',
        ),
        environment=environment(),
        images=images,
        timed_rate=rate,
        exit_code=code,
        configs=configs,
        records=records,
        unfinished=failed,
    )  # fmt: skip


def choose_epochs(images: int, rate: float, seconds: float, args: argparse.Namespace) -> int:
    """Return the most epochs that all runs fit with, one after the other at ``rate`` images/s.

    Runs next to each other share the device: its rate is taken as one run's.

    Raises:
        UserError: one epoch does not fit.
    """
    runs = len(args.conditions) * args.seeds
    rounds = -(-runs // args.jobs)
    left = seconds - rounds * STARTS_S
    fitting = [epochs for epochs in EPOCHS if runs * epochs * images / rate <= left]
    if not fitting:
        raise UserError(
            f'{runs} runs of one epoch at {rate:.0f} images a second take longer than the '
            f'{left:.0f} s left: give more --minutes, or fewer --conditions'
        )
    return fitting[-1]


def _arch(width: int) -> str:
    heads = max(1, width // 64)
    return f'dict(embed_dims={width}, num_heads={heads}, feedforward_channels={4 * width})'


def write_config(
    place: Path, name: str, epochs: int, args: argparse.Namespace, workers: int
) -> Path:
    """Write a condition at the study's width and length; return its path."""
    arch = _arch(args.width)
    lines = [
        f"_base_ = ['{ROOT}/configs/evidence/cifar10_{name}.py']",
        f'model = dict(backbone=dict(arch={arch}))',
        f'train_dataloader = dict(num_workers={workers}, persistent_workers=True)',
        f'recipe = dict(epochs={epochs}, batch={args.batch}, warmup_epochs={epochs / 8})',
    ]
    if name == 'mae':
        lines[1] = f'model = dict(backbone=dict(arch={arch}), neck=dict(embed_dim={args.width}))'
    path = place / f'{name}.py'
    path.write_text('\n'.join(lines) + '\n')
    return path


def write_suite(place: Path, epochs: int, args: argparse.Namespace, workers: int) -> Path:
    """Write the suite file and its configs; return its path."""
    arch = _arch(args.width)
    methods = {
        name: str(write_config(place, name, epochs, args, workers)) for name in args.conditions
    }
    transfers = {}
    for task in ('knn', 'linear'):
        path = place / f'{task}.py'
        path.write_text(
            f"_base_ = ['{ROOT}/configs/evidence/cifar10_{task}.py']\n"
            f'model = dict(backbone=dict(arch={arch}))\n'
            f'train_dataloader = dict(num_workers={workers}, persistent_workers=True)\n'
            f'test_dataloader = dict(num_workers={workers}, persistent_workers=True)\n'
        )
        transfers[task] = str(path)
    suite = place / 'suite.json'  # JSON is YAML
    text = dict(
        name='evidence_cifar10_gpu', seeds=list(range(args.seeds)), amp=args.amp,
        methods=methods | dict(random=None), transfers=transfers,
    )  # fmt: skip
    suite.write_text(json.dumps(text))
    return suite


def tables(result: dict) -> dict[str, str]:
    """Return a Markdown table: top-1 of every condition, as chosen on held-out training images."""
    found: dict[str, dict[str, list[float]]] = {}
    for record in result['records'].values():
        row = found.setdefault(record['method'], {})
        if 'chosen_top1' in record['metrics']:
            row.setdefault(record['task'], []).append(record['metrics']['chosen_top1'])
    columns = sorted({name for row in found.values() for name in row})
    rows = [
        [method, *(' / '.join(f'{value:.2f}' for value in row.get(name, [])) for name in columns)]
        for method, row in found.items()
    ]
    return dict(study=markdown(['condition', *columns], rows)) if rows else {}
