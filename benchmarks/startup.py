"""Time and memory to open a large folder of images: MMPretrain's ``CustomDataset`` and ours."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.common import Sample, environment, interleave, markdown, say, spread, with_spread
from symmim_mm.utils.errors import UserError

STOCK, FIRST, AGAIN = 'CustomDataset', 'ImageFolder, first time', 'ImageFolder, again'
TIMEOUT = 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tools/benchmark.py startup``."""
    parser.add_argument(
        '--images', type=int, default=256_000, help='files to make, all empty (default 256000)'
    )
    parser.add_argument('--folders', type=int, default=1000, help='of classes (default 1000)')
    parser.add_argument('--repeats', type=int, default=3, help='(default 3)')
    parser.add_argument('--labels', action='store_true', help='with classes, as in fine-tuning')
    parser.add_argument('--tmp', help='where to make the folder, which is removed afterwards')


def run(args: argparse.Namespace) -> dict:
    """Make a folder, open it in fresh processes, remove it."""
    if not 1 <= args.folders <= args.images:
        raise UserError('--folders must be 1 or more, and not more than --images')
    place = Path(tempfile.mkdtemp(prefix='symmim-startup-', dir=args.tmp))
    try:
        say(f'making {args.images} files below {place}')
        make_tree(place / 'images', args.images, args.folders)
        peaks: dict[str, list[dict]] = {STOCK: [], FIRST: [], AGAIN: []}
        cases = {name: partial(_probe, name, place, args.labels, peaks[name]) for name in peaks}
        cases[STOCK]()  # the system now knows the folder, whoever comes first
        peaks[STOCK].clear()
        before = environment()
        samples = interleave(cases, args.repeats, say)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    found = {}
    for name, of_case in samples.items():
        seconds = [sample.seconds for sample in of_case]
        stock = [sample.seconds for sample in samples[STOCK]]
        found[name] = dict(
            seconds=spread(seconds),
            times_faster=spread([b / a for a, b in zip(seconds, stock, strict=True)]),
            peak_mib=spread([probe['peak_mib'] for probe in peaks[name]]),
            added_mib=spread([probe['added_mib'] for probe in peaks[name]]),
        )
    settings = dict(images=args.images, folders=args.folders, labels=args.labels)
    return dict(settings=settings, repeats=args.repeats, environment=before, cases=found)


def make_tree(root: Path, images: int, folders: int) -> None:
    """Make empty files with names as long as ImageNet's."""
    hour_ago = time.time() - 3600
    for number in range(folders):
        folder = root / f'n{number:08d}'
        folder.mkdir(parents=True)
        for image in range(number, images, folders):
            (folder / f'n{number:08d}_{image}.JPEG').touch()
        os.utime(folder, (hour_ago, hour_ago))
    os.utime(root, (hour_ago, hour_ago))


def _probe(name: str, place: Path, labels: bool, peaks: list[dict]) -> Sample:
    cache = place / 'cache'
    if name == FIRST:
        shutil.rmtree(cache, ignore_errors=True)
    elif name == AGAIN and not cache.exists():
        _child(FIRST, place, labels)
    found = _child(name, place, labels)
    peaks.append(found)
    return Sample(1, found['seconds'], found['cpu_seconds'])


def _child(name: str, place: Path, labels: bool) -> dict:
    kind = 'stock' if name == STOCK else 'ours'
    command = [sys.executable, '-m', 'benchmarks.startup_probe', kind]
    command += [str(place / 'images'), str(place / 'cache'), str(int(labels))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT)
    return json.loads(done.stdout.splitlines()[-1])


def tables(result: dict) -> dict[str, str]:
    """Return the Markdown of a result, by the name of the table."""
    rows = [
        [
            name,
            with_spread(case['seconds'], '.2f', ' s'),
            with_spread(case['times_faster'], '.1f'),
            f'{case["added_mib"]["median"]:.0f} MiB',
            f'{case["peak_mib"]["median"]:.0f} MiB',
        ]
        for name, case in result['cases'].items()
    ]
    header = ['', 'time', 'times faster', 'memory added', 'peak of the process']
    return {'cases': markdown(header, rows)}
