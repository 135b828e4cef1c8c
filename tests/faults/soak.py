#!/usr/bin/env python3
"""Does memory, or the number of open files, grow while a training runs? The demo's pre-training.

    python tests/faults/soak.py --minutes 60

Samples every process of the run: resident memory (RSS), its proportional share of what processes
have in common (PSS), and open file handles. Slopes are least squares over the samples after the
first fifth, in which caches fill. The run is stopped by SIGTERM and must end with exit code 75.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import runs

MIB = 1 << 20
CONFIG = 'configs/quickstart/symmim_pretrain.py'


def sample(process: int) -> dict[str, float]:
    """Return sums over the run's processes; those that end meanwhile are left out."""
    total = dict(processes=0, rss_mib=0.0, pss_mib=0.0, main_rss_mib=0.0, handles=0, main_handles=0)
    main = psutil.Process(process)
    for one in (main, *main.children(recursive=True)):
        try:
            memory, handles = one.memory_full_info(), one.num_fds()
        except psutil.Error:
            continue
        total['processes'] += 1
        total['rss_mib'] += memory.rss / MIB
        total['pss_mib'] += memory.pss / MIB
        total['handles'] += handles
        if one == main:
            total['main_rss_mib'] = memory.rss / MIB
            total['main_handles'] = handles
    return total


def slopes(samples: list[dict[str, float]]) -> dict[str, float]:
    """Return the growth per hour of every column, over samples that have all processes."""
    usual = int(np.median([one['processes'] for one in samples]))
    whole = [one for one in samples[len(samples) // 5 :] if one['processes'] == usual]
    hours = np.array([one['seconds'] for one in whole]) / 3600
    keys = ('rss_mib', 'pss_mib', 'main_rss_mib', 'handles', 'main_handles')
    return {key: float(np.polyfit(hours, [one[key] for one in whole], 1)[0]) for key in keys}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=60)
    parser.add_argument('--workers', type=int, default=4)
    parser.add_argument('--every', type=float, default=5, help='seconds between two samples')
    parser.add_argument('--out', type=Path, help='write all samples to this JSON file')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='soak_') as scratch:
        folder = Path(scratch)
        data = folder / 'data'
        make = [sys.executable, 'tools/make_sample_data.py', str(data)]
        subprocess.run(make, cwd=runs.ROOT, check=True, stdout=subprocess.DEVNULL)
        images = f'default_hooks.images.dataset.data_root={data}/imagenet'
        command = [
            sys.executable, 'tools/train.py', CONFIG, '--work-dir', str(folder / 'run'),
            '--cfg-options', f'train_dataloader.num_workers={args.workers}', 'recipe.epochs=100000',
            f'train_dataloader.dataset.data_root={data}/imagenet', images,
        ]  # fmt: skip
        with open(folder / 'log', 'wb') as log:
            process = subprocess.Popen(command, cwd=runs.ROOT, stdout=log, stderr=log)
        runs.wait_for(lambda: runs.has_saved(folder / 'run'), process)
        begun, samples = time.monotonic(), []
        while (seconds := time.monotonic() - begun) < args.minutes * 60:
            if process.poll() is not None:
                raise SystemExit((folder / 'log').read_text()[-2000:])
            samples.append(dict(sample(process.pid), seconds=seconds))
            time.sleep(args.every)
        process.send_signal(signal.SIGTERM)
        code = process.wait(600)
        epochs = (folder / 'log').read_text(errors='replace').count('Saving checkpoint')
    growth = slopes(samples)
    found = dict(
        minutes=args.minutes, workers=args.workers, samples=len(samples), epochs=epochs,
        exit_code=code, first=samples[0], last=samples[-1], growth_an_hour=growth,
    )  # fmt: skip
    print(json.dumps(found, indent=2))
    if args.out:
        args.out.write_text(json.dumps(dict(found, all=samples)))
    sys.exit(0 if code == 75 else 1)


if __name__ == '__main__':
    main()
