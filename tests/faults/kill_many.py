#!/usr/bin/env python3
"""Kill or stop small training runs again and again: do they end as if nothing had happened?

    python tests/faults/kill_many.py --times 30
    python tests/faults/kill_many.py --times 30 --longer 16 --tasks pretrain
    python tests/faults/kill_many.py --times 10 --signal TERM

For each task a run is trained once without interruption. Then the same run is started, ended
with a signal and resumed until that has happened often enough, at random moments; of those with
KILL, about half come while a checkpoint is being written, as the part of it that is left proves.
A run that finishes meanwhile is compared with the uninterrupted one and another one is started; the
last may finish and is compared too.
"""

import argparse
import random
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import outcomes
import runs

PREEMPTED = 75


def log_of(work_dir: Path) -> Path:
    return work_dir.with_suffix('.log')


def parts(work_dir: Path) -> set[tuple[str, int]]:
    """Return the files that checkpoints are, or were when their writer was killed, written to."""
    found = set()
    for part in work_dir.glob('.*.pth.*.part'):
        with suppress(FileNotFoundError):
            found.add((part.name, part.stat().st_mtime_ns))
    return found


def attempt(config: Path, work_dir: Path, dice: random.Random, span: float, **how) -> str:
    """End one attempt at a random moment; return how it ended, 'done' if it was faster.

    Args:
        config: of the run.
        work_dir: of the run, which resumes from its newest checkpoint.
        dice: for the moment.
        span: seconds within which the moment lies.
        **how: ``number`` of the signal; whether to wait for the first, second or third
            checkpoint ``in_writing``; name of the ``last`` checkpoint of a whole run.

    Raises:
        SystemExit: a run that trained was not saved, or ended with another code.
    """
    log = log_of(work_dir)
    in_writing = how['in_writing']
    stale = parts(work_dir)  # of the attempt before; the new one removes them
    logged_before = log.stat().st_size if log.exists() else 0
    process = runs.start([config, '--work-dir', work_dir, '--resume'], log)
    begun = time.monotonic()
    moment, nth = dice.uniform(0, span), dice.randint(1, 3)
    seen: set[str] = set()
    while (code := runs.ended(process)) is None:
        fresh = parts(work_dir) - stale
        seen |= {name for name, _ in fresh}
        due = time.monotonic() - begun > moment
        if fresh and len(seen) >= nth if in_writing else due:
            time.sleep(dice.uniform(0, 0.003) if in_writing else 0)
            runs.signal_all(process, how['number'])
            code = runs.wait(process)
            break
        time.sleep(0.0005 if in_writing else 0.005)
    if code == 0:
        return 'done'
    if code == PREEMPTED:
        return 'saved'
    if code != -how['number']:
        raise SystemExit(f'an attempt ended with exit code {code}, see {log}')
    if how['number'] != signal.SIGKILL:
        trained = re.search(rb'\(train\)|Saving checkpoint', log.read_bytes()[logged_before:])
        if trained and not (work_dir / how['last']).exists():
            raise SystemExit(f'an attempt ended without saving, see {log}')
    # What is left of a file is the proof that its writer was killed while it wrote.
    return 'in a checkpoint' if parts(work_dir) - stale else 'elsewhere'


def lengthened(task: str, factor: int) -> str:
    """Return a line of a config that makes a run of one task ``factor`` times as long."""
    unit, length = re.search(r'recipe = dict\((\w+)=(\d+)', runs.CHANGES[task]).groups()
    return f'recipe = dict({unit}={int(length) * factor})'


def uninterrupted(config: Path, work_dir: Path) -> tuple[float, float]:
    """Run without a fault; return the seconds to the first checkpoint and from there on."""
    work_dir.mkdir(parents=True)
    begun = time.monotonic()
    process = runs.start([config, '--work-dir', work_dir], log_of(work_dir))
    runs.wait_for(lambda: runs.has_saved(work_dir), process)
    first = time.monotonic() - begun
    if code := runs.wait(process):
        raise SystemExit(f'exit code {code}, see {log_of(work_dir)}')
    return first, time.monotonic() - begun - first


def torture(run: runs.Injection, task: str) -> dict:
    """End runs of one task ``--times`` times, or somewhat more often; return what happened.

    As long as fewer than half of the kills fell into the writing of a checkpoint, the next is
    aimed at one; at least a quarter must have hit before it is enough.
    """
    args, folder = run.args, run.folder
    config = runs.write_config(folder, task, run.data, lengthened(task, args.longer))
    whole = folder / task / 'whole'
    begun = time.monotonic()
    first, rest = uninterrupted(config, whole)
    span = first + rest / args.longer
    dice = random.Random(args.seed)
    killing = args.signal == 'KILL'
    number = signal.Signals[f'SIG{args.signal}']
    least = args.times // 4 if killing else 0
    last = (whole / 'last_checkpoint').read_text().rpartition('/')[2].strip()
    ends = {'in a checkpoint': 0, 'elsewhere': 0, 'saved': 0}
    finished, resumed, different, broken_off = 0, 0, [], False

    def enough() -> bool:
        return sum(ends.values()) >= args.times and ends['in a checkpoint'] >= least

    while not enough() or not finished or broken_off:
        broken = folder / task / f'broken_{finished}'
        if not enough():
            aimed = killing and 2 * ends['in a checkpoint'] <= sum(ends.values())
            end = attempt(config, broken, dice, span, number=number, in_writing=aimed, last=last)
        else:
            runs.must([config, '--work-dir', broken, '--resume'], log_of(broken))
            end = 'done'
        broken_off = end != 'done'
        if broken_off:
            ends[end] += 1
            continue
        finished += 1
        resumed += log_of(broken).read_text(errors='replace').count('resumed epoch:')
        different += outcomes.compare(whole, broken)
        if not outcomes.is_clean(broken):
            different.append(f'{broken} is not clean')
    seconds = time.monotonic() - begun
    tries = sum(ends.values())
    return dict(
        ends, tries=tries, runs=finished, resumed=resumed, different=different, seconds=seconds
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--signal', choices=['KILL', 'TERM', 'USR1'], default='KILL')
    parser.add_argument('--tasks', nargs='+', choices=runs.TASKS, default=runs.TASKS)
    parser.add_argument('--longer', type=int, default=1, help='times as long a run (default: 1)')


def inject(run: runs.Injection) -> None:
    for task in run.args.tasks:
        found = torture(run, task)
        outcome = '{in a checkpoint} while a checkpoint was written, {elsewhere} elsewhere'
        if run.args.signal != 'KILL':
            outcome = '{saved} saved first, exit code 75; {elsewhere} before the first step'
        outcome += '; {resumed} resumed, {runs} runs compared, {seconds:.0f} s'
        survived = found['tries'] if not found['different'] else 0
        fault = f'SIG{run.args.signal}, {task}'
        run.report(fault, found['tries'], survived, outcome.format(**found))
        print(*found['different'][:5], sep='\n', end='', file=sys.stderr, flush=True)


if __name__ == '__main__':
    runs.script(__doc__, inject, times=30, options=add_options)
