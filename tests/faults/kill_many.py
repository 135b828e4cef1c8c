#!/usr/bin/env python3
"""Kill or stop small training runs again and again; do they end as if nothing had happened?

    python tests/faults/kill_many.py --times 30
    python tests/faults/kill_many.py --times 10 --signal TERM

For each task a run is trained once without interruption. Then the same run is started, ended
with a signal and resumed until that has happened often enough, at random moments; of those with
KILL, half come while a checkpoint is being written. A run that finishes meanwhile is compared with
the uninterrupted one and another one is begun; the last is let go to its end and compared too.
"""

import argparse
import random
import signal
import sys
import time
from pathlib import Path

import runs

PREEMPTED = 75


def log_of(work_dir: Path) -> Path:
    return work_dir.with_suffix('.log')


def writing(work_dir: Path) -> bool:
    return any(work_dir.glob('.*.part'))


def attempt(config: Path, work_dir: Path, dice: random.Random, span: float, name: str) -> str:
    """One attempt, ended at a moment of the dice: how it ended, 'done' if it was faster."""
    number = signal.Signals[f'SIG{name}']
    log = log_of(work_dir)
    process = runs.start([config, '--work-dir', work_dir, '--resume'], log)
    begun = time.monotonic()
    in_writing = name == 'KILL' and dice.random() < 0.5
    half = False
    moment = dice.uniform(0, span / 2 if in_writing else span)
    while (code := runs.ended(process)) is None:
        since = time.monotonic() - begun
        if since > moment and (not in_writing or writing(work_dir)):
            time.sleep(dice.uniform(0, 0.004) if in_writing else 0)
            half = writing(work_dir)
            runs.signal_all(process, number)
            code = runs.wait(process)
            break
        time.sleep(0.0005 if in_writing else 0.005)
    if code == 0:
        return 'done'
    if code == PREEMPTED:
        return 'saved'
    if code != -number:
        raise SystemExit(f'an attempt ended with exit code {code}, see {log}')
    return 'in a checkpoint' if half else 'elsewhere'


def torture(task: str, folder: Path, data: Path, times: int, name: str, seed: int) -> dict:
    """End runs of one task ``times`` times; what happened, as numbers for the table."""
    config = runs.write_config(folder, task, data)
    whole = folder / task / 'whole'
    begun = time.monotonic()
    whole.mkdir(parents=True)
    runs.must([config, '--work-dir', whole], log_of(whole))
    span = time.monotonic() - begun
    dice = random.Random(seed)
    ends = {'in a checkpoint': 0, 'elsewhere': 0, 'saved': 0}
    finished, resumed, different, broken_off = 0, 0, [], False
    while sum(ends.values()) < times or not finished or broken_off:
        broken = folder / task / f'broken_{finished}'
        if sum(ends.values()) < times:
            end = attempt(config, broken, dice, span, name)
        else:
            runs.must([config, '--work-dir', broken, '--resume'], log_of(broken))
            end = 'done'
        broken_off = end != 'done'
        if broken_off:
            ends[end] += 1
            continue
        finished += 1
        resumed += log_of(broken).read_text(errors='replace').count('resumed epoch:')
        different += runs.compare(whole, broken)
        if not runs.is_clean(broken):
            different.append(f'{broken} is not clean')
    seconds = time.monotonic() - begun
    return dict(ends, runs=finished, resumed=resumed, different=different, seconds=seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--times', type=int, default=30, help='for each task (default: 30)')
    parser.add_argument('--signal', choices=['KILL', 'TERM', 'USR1'], default='KILL')
    parser.add_argument('--tasks', nargs='+', choices=runs.TASKS, default=runs.TASKS)
    parser.add_argument('--seed', type=int, default=0, help='of the dice')
    parser.add_argument('--keep', type=Path, help='work in this folder and leave it')
    args = parser.parse_args()
    runs.preload()
    report = runs.Report()
    with runs.workplace(args.keep, 'kill_many') as folder:
        data = runs.sample_data(folder)
        for task in args.tasks:
            found = torture(task, folder, data, args.times, args.signal, args.seed)
            what = (
                '{in a checkpoint} while a checkpoint was written, {saved} saved first, '
                '{elsewhere} elsewhere; {resumed} resumed, {runs} runs compared, {seconds:.0f} s'
            ).format(**found)
            survived = args.times if not found['different'] else 0
            report.line(f'SIG{args.signal}, {task}', args.times, survived, what)
            print(*found['different'][:5], sep='\n', end='', file=sys.stderr, flush=True)
    report.end()


if __name__ == '__main__':
    main()
