#!/usr/bin/env python3
"""Loader workers that die or hang: are they noticed, named, and can the run go on?

    python tests/faults/workers.py --times 3
"""

import argparse
import os
import random
import signal
import time
from pathlib import Path

import runs
from injections import config_lines

TIMEOUT = 5


def workers_of(process: int) -> list[int]:
    """Child processes of a run."""
    tasks = Path(f'/proc/{process}/task').glob('*/children')
    return [int(word) for task in tasks for word in task.read_text().split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--times', type=int, default=3)
    parser.add_argument('--seed', type=int, default=0, help='of the dice')
    parser.add_argument('--keep', type=Path, help='work in this folder and leave it')
    args = parser.parse_args()
    runs.preload()
    report = runs.Report()
    dice = random.Random(args.seed)
    with runs.workplace(args.keep, 'workers') as folder:
        data = runs.sample_data(folder)
        lines = config_lines("dict(type='Hang')")
        lines += f'default_hooks = dict(loader=dict(timeout={TIMEOUT}))\n'
        config = runs.write_config(folder, 'pretrain', data, lines)
        whole = folder / 'whole'
        runs.must([config, '--work-dir', whole], folder / 'whole.log')

        survived, seconds = 0, []
        for time_ in range(args.times):
            work_dir, log = folder / f'dies_{time_}', folder / f'dies_{time_}.log'
            process = runs.start([config, '--work-dir', work_dir], log)
            runs.wait_for(lambda d=work_dir: (d / 'last_checkpoint').exists(), process)
            runs.wait_for(lambda p=process: workers_of(p), process)
            os.kill(dice.choice(workers_of(process)), signal.SIGKILL)
            begun = time.monotonic()
            code = runs.wait(process)
            seconds.append(time.monotonic() - begun)
            told = runs.errors(log)
            runs.must([config, '--work-dir', work_dir, '--resume'], log)
            good = code == 1 and len(told) == 1 and 'worker' in told[0]
            survived += good and not runs.compare(whole, work_dir)
        what = f'ended within {max(seconds):.1f} s, one line, exit code 1; resumed, same weights'
        report.line('kill -9 of a loader worker', args.times, survived, what)

        survived, seconds = 0, []
        pictures = sorted(data.glob('imagenet/train/*/*.png'))
        for time_ in range(args.times):
            work_dir, log = folder / f'hangs_{time_}', folder / f'hangs_{time_}.log'
            picture = dice.choice(pictures).name
            begun = time.monotonic()
            code = runs.wait(
                runs.start([config, '--work-dir', work_dir], log, dict(HANG_AT=picture))
            )
            seconds.append(time.monotonic() - begun)
            told = runs.errors(log)
            runs.must([config, '--work-dir', work_dir, '--resume'], log)
            good = code == 1 and len(told) == 1 and picture in told[0]
            survived += good and not runs.compare(whole, work_dir)
        what = f'named with its pictures after {TIMEOUT} s, exit code 1; resumed, same weights'
        report.line('a loader worker hangs', args.times, survived, what)
    report.end()


if __name__ == '__main__':
    main()
