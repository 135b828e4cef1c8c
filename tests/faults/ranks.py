#!/usr/bin/env python3
"""Two processes train together; one is killed, or one alone gets a signal to stop.

    python tests/faults/ranks.py

The last line is about ``tools/dist_train.sh``, whose ``torchrun`` starts the processes again.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

import outcomes
import psutil
import runs


def start_two(config: Path, work_dir: Path, *options: str) -> list[int]:
    """Start two ranks without ``torchrun``, as Slurm does; their logs are next to the folder."""
    (port,) = runs.free_ports(1)
    job = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), WORLD_SIZE='2')
    command = [config, '--work-dir', work_dir, '--launcher', 'pytorch', *options]
    return [
        runs.start(command, log_of(work_dir, rank), dict(job, RANK=str(rank), LOCAL_RANK='0'))
        for rank in range(2)
    ]


def log_of(work_dir: Path, rank: int) -> Path:
    return work_dir.with_name(f'{work_dir.name}_{rank}.log')


def both(config: Path, work_dir: Path, *options: str) -> None:
    codes = [runs.wait(process) for process in start_two(config, work_dir, *options)]
    if any(codes):
        raise SystemExit(f'exit codes {codes}, see {log_of(work_dir, 0)}')


def started(run: runs.Injection, config: Path, work_dir: Path) -> list[int]:
    """Start two ranks, and wait until a moment after their first checkpoint."""
    processes = start_two(config, work_dir)
    runs.wait_for(lambda: runs.has_saved(work_dir), processes[0])
    time.sleep(run.dice.uniform(0, 1))
    return processes


def kill_one(run: runs.Injection, config: Path, whole: Path, number: int) -> tuple[float, bool]:
    """Kill a rank; return the seconds until the other had ended, and whether all was well."""
    work_dir = run.folder / f'killed_{number}'
    processes = started(run, config, work_dir)
    victim = run.dice.choice((0, 1))
    runs.kill(processes[victim])
    begun = time.monotonic()
    code = runs.wait(processes[1 - victim])
    seconds = time.monotonic() - begun
    lines = runs.errors(log_of(work_dir, 1 - victim))
    both(config, work_dir, '--resume')
    good = code == 1 and len(lines) == 1 and 'lost the others' in lines[0]
    return seconds, good and not outcomes.compare(whole, work_dir)


def stop_one(run: runs.Injection, config: Path, whole: Path, number: int) -> tuple[float, bool]:
    """Send SIGTERM to one rank alone: both must stop at the same step."""
    work_dir = run.folder / f'stopped_{number}'
    processes = started(run, config, work_dir)
    os.kill(run.dice.choice(processes), signal.SIGTERM)
    begun = time.monotonic()
    codes = [runs.wait(process) for process in processes]
    seconds = time.monotonic() - begun
    both(config, work_dir, '--resume')
    return seconds, codes == [75, 75] and not outcomes.compare(whole, work_dir)


def restart(run: runs.Injection, config: Path, whole: Path, number: int) -> tuple[float, bool]:
    """Kill a rank of ``dist_train.sh`` with one restart; the ranks take turns.

    Rank 0 keeps the addresses of the others, so that its end is another fault than that of rank 1.

    Returns:
        Seconds until both had resumed, and whether all was well.
    """
    work_dir, log = run.folder / f'restarted_{number}', run.folder / f'restarted_{number}.log'
    environment = dict(os.environ, MAX_RESTARTS='1', OMP_NUM_THREADS='1')
    with open(log, 'wb') as file:
        launcher = subprocess.Popen(
            ['tools/dist_train.sh', config, '2', '--work-dir', work_dir],
            cwd=runs.ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    runs.wait_for(lambda: runs.has_saved(work_dir), launcher)
    time.sleep(run.dice.uniform(0, 0.3))
    children = psutil.Process(launcher.pid).children()
    (victim,) = (child for child in children if child.environ().get('RANK') == str(number % 2))
    victim.kill()
    begun = time.monotonic()
    runs.wait_for(lambda: 'resumed epoch:' in log.read_text(errors='replace'), launcher)
    seconds = time.monotonic() - begun
    code = launcher.wait(600)
    return seconds, code == 0 and not outcomes.compare(whole, work_dir)


FAULTS = {
    'kill -9 of one of 2 processes': (kill_one, 'the other ended with one line; resumed'),
    'SIGTERM to one of 2 processes': (stop_one, 'both saved at one step, exit code 75; resumed'),
    'kill -9 under dist_train.sh': (restart, 'both started again and resumed'),
}


def inject(run: runs.Injection) -> None:
    # Long enough that no run ends before its fault, whatever delays this script.
    lines = 'train_dataloader = dict(num_workers=1)\nrecipe = dict(epochs=12)'
    config = runs.write_config(run.folder, 'pretrain', run.data, lines)
    whole = run.folder / 'whole'
    both(config, whole)
    for name, (fault, outcome) in FAULTS.items():
        found = [fault(run, config, whole, number) for number in range(run.args.times)]
        seconds, good = zip(*found, strict=True)
        outcome += f', same weights; within {max(seconds):.1f} s'
        run.report(name, run.args.times, sum(good), outcome)


if __name__ == '__main__':
    runs.script(__doc__, inject)
