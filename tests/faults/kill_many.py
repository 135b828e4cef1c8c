#!/usr/bin/env python3
"""Kill small training runs with kill -9 again and again; do they end as if nothing had happened?

    python tests/faults/kill_many.py --kills 30

For each task a run is trained once without interruption. Then the same run is started, killed
and resumed until there have been enough kills: half of them at random moments, half while a
checkpoint is being written. A run that finishes meanwhile is compared with the uninterrupted one,
and another one is begun; the last one is let go to its end and compared as well.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import runs


def writing(work_dir: Path) -> bool:
    return any(work_dir.glob('.*.part'))


def attempt(arguments: list, work_dir: Path, log: Path, chance: random.Random, span: float) -> str:
    """One attempt, killed at a moment of the dice; how it ended: 'done' or where it was killed."""
    process = runs.start([*arguments, '--work-dir', work_dir, '--resume'], log)
    begun = time.monotonic()
    in_writing = chance.random() < 0.5
    moment = chance.uniform(0, span)
    while True:
        code = runs.ended(process)
        if code is not None:
            if code:
                raise SystemExit(f'an attempt ended with exit code {code}, see {log}')
            return 'done'
        since = time.monotonic() - begun
        if (in_writing and since > moment / 2 and writing(work_dir)) or (
            not in_writing and since > moment
        ):
            if in_writing:
                time.sleep(chance.uniform(0, 0.004))
            half = writing(work_dir)
            runs.kill(process)
            return 'in a checkpoint' if half else 'elsewhere'
        time.sleep(0.0005 if in_writing else 0.005)


def torture(task: str, folder: Path, data: Path, kills: int, seed: int) -> dict:
    """Kill runs of one task ``kills`` times; what happened, as numbers for the table."""
    config = runs.write_config(folder, task, data)
    whole = folder / task / 'whole'
    begun = time.monotonic()
    code = runs.wait(runs.start([config, '--work-dir', whole], folder / f'{task}_whole.log'))
    if code:
        raise SystemExit(f'the uninterrupted run failed, see {folder}/{task}_whole.log')
    span = time.monotonic() - begun
    chance = random.Random(seed)
    ends: dict[str, int] = {'in a checkpoint': 0, 'elsewhere': 0}
    finished, different, resumed = 0, [], 0
    while True:
        broken = folder / task / f'broken_{finished}'
        log = folder / f'{task}_{finished}.log'
        if sum(ends.values()) < kills:
            end = attempt([config], broken, log, chance, span)
        else:
            code = runs.wait(runs.start([config, '--work-dir', broken, '--resume'], log))
            if code:
                raise SystemExit(f'the last attempt ended with exit code {code}, see {log}')
            end = 'done'
        if end != 'done':
            ends[end] += 1
            continue
        finished += 1
        text = log.read_text(errors='replace')
        resumed += text.count('resumed epoch:')
        different += runs.compare(whole, broken)
        if leftovers := [*broken.glob('.*')]:
            different.append(f'left behind: {leftovers}')
        if sum(ends.values()) >= kills:
            break
    return dict(
        task=task,
        kills=sum(ends.values()),
        in_checkpoint=ends['in a checkpoint'],
        runs=finished,
        resumed=resumed,
        different=different,
        seconds=time.monotonic() - begun,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=30, help='for each task (default: 30)')
    parser.add_argument('--tasks', nargs='+', choices=runs.TASKS, default=runs.TASKS)
    parser.add_argument('--seed', type=int, default=0, help='of the dice')
    parser.add_argument('--keep', type=Path, help='work in this folder and leave it')
    args = parser.parse_args()
    runs.preload()
    from symmim_mm.data.sample_data import write_sample_data

    with tempfile.TemporaryDirectory(prefix='kill_many_') as scratch:
        folder = args.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / 'data'
        write_sample_data(
            data, train=30, val=10, coco_train=12, coco_val=4, ade_train=12, ade_val=4
        )
        print('| task | kills | in a checkpoint | runs | resumed | different | seconds |')
        print('|---|---|---|---|---|---|---|', flush=True)
        wrong = 0
        for task in args.tasks:
            found = torture(task, folder, data, args.kills, args.seed)
            wrong += len(found['different'])
            print(
                '| {task} | {kills} | {in_checkpoint} | {runs} | {resumed} | {wrong} | '
                '{seconds:.0f} |'.format(wrong=len(found['different']), **found),
                flush=True,
            )
            for line in found['different'][:5]:
                print(f'    {task}: {line}', flush=True)
        sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    main()
