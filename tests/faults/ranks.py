#!/usr/bin/env python3
"""Two processes train together; one is killed, or one alone is told to stop.

    python tests/faults/ranks.py

The last line is about ``tools/dist_train.sh``, whose ``torchrun`` starts the processes again.
"""

import argparse
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import outcomes
import runs


def start_two(config: Path, work_dir: Path, *options: str) -> list[int]:
    """Two ranks without ``torchrun``, as Slurm starts them; their logs are beside the folder."""
    (port,) = runs.free_ports(1)
    places = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), WORLD_SIZE='2')
    command = [config, '--work-dir', work_dir, '--launcher', 'pytorch', *options]
    return [
        runs.start(command, log_of(work_dir, rank), dict(places, RANK=str(rank), LOCAL_RANK='0'))
        for rank in range(2)
    ]


def log_of(work_dir: Path, rank: int) -> Path:
    return work_dir.with_name(f'{work_dir.name}_{rank}.log')


def both(config: Path, work_dir: Path, *options: str) -> None:
    codes = [runs.wait(process) for process in start_two(config, work_dir, *options)]
    if any(codes):
        raise SystemExit(f'exit codes {codes}, see {log_of(work_dir, 0)}')


def saved(work_dir: Path) -> bool:
    return (work_dir / 'last_checkpoint').exists()


def one_dies(config: Path, folder: Path, whole: Path, dice: random.Random, time_: int):
    """Kill a rank; seconds until the other had ended, and whether all was well."""
    work_dir = folder / f'dies_{time_}'
    processes = start_two(config, work_dir)
    runs.wait_for(lambda: saved(work_dir), processes[0])
    time.sleep(dice.uniform(0, 1))
    victim = dice.choice((0, 1))
    runs.kill(processes[victim])
    begun = time.monotonic()
    code = runs.wait(processes[1 - victim])
    seconds = time.monotonic() - begun
    told = runs.errors(log_of(work_dir, 1 - victim))
    both(config, work_dir, '--resume')
    good = code == 1 and len(told) == 1 and 'lost the others' in told[0]
    return seconds, good and not outcomes.compare(whole, work_dir)


def one_is_told(config: Path, folder: Path, whole: Path, dice: random.Random, time_: int) -> bool:
    """SIGTERM to one rank alone: both must stop at the same step."""
    work_dir = folder / f'told_{time_}'
    processes = start_two(config, work_dir)
    runs.wait_for(lambda: saved(work_dir), processes[0])
    time.sleep(dice.uniform(0, 1))
    os.kill(dice.choice(processes), signal.SIGTERM)
    codes = [runs.wait(process) for process in processes]
    both(config, work_dir, '--resume')
    return codes == [75, 75] and not outcomes.compare(whole, work_dir)


def rank_of(process: int) -> int:
    """The rank that ``torchrun`` gave a process."""
    words = Path(f'/proc/{process}/environ').read_bytes().split(b'\0')
    return int(next(word for word in words if word.startswith(b'RANK='))[5:])


def torchrun(config: Path, folder: Path, whole: Path, dice: random.Random, time_: int):
    """``dist_train.sh`` with one restart; the ranks are killed in turn.

    Seconds until both had resumed, and whether all was well. Rank 0 is the one that keeps the
    addresses of the others, so that its end is another fault than that of rank 1.
    """
    work_dir, log = folder / f'torchrun_{time_}', folder / f'torchrun_{time_}.log'
    environment = dict(os.environ, MAX_RESTARTS='1', OMP_NUM_THREADS='1')
    with open(log, 'wb') as file:
        launcher = subprocess.Popen(
            ['tools/dist_train.sh', config, '2', '--work-dir', work_dir],
            cwd=runs.ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    wait_for_launcher(launcher, lambda: saved(work_dir), log)
    time.sleep(dice.uniform(0, 0.3))
    children = Path(f'/proc/{launcher.pid}/task/{launcher.pid}/children').read_text().split()
    victims = [int(child) for child in children if rank_of(int(child)) == time_ % 2]
    os.kill(*victims, signal.SIGKILL)
    begun = time.monotonic()
    wait_for_launcher(launcher, lambda: 'resumed epoch:' in log.read_text(errors='replace'), log)
    seconds = time.monotonic() - begun
    code = launcher.wait(600)
    return seconds, code == 0 and not outcomes.compare(whole, work_dir)


def wait_for_launcher(launcher: subprocess.Popen, condition: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + 300
    while not condition():
        if launcher.poll() is not None or time.monotonic() > until:
            launcher.terminate()
            raise SystemExit(f'dist_train.sh waited in vain, see {log}')
        time.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--times', type=int, default=3)
    parser.add_argument('--seed', type=int, default=0, help='of the dice')
    parser.add_argument('--keep', type=Path, help='work in this folder and leave it')
    args = parser.parse_args()
    runs.preload()
    report = runs.Report()
    dice = random.Random(args.seed)
    with runs.workplace(args.keep, 'ranks') as folder:
        data = runs.sample_data(folder)
        # Long enough that no run ends before its fault, whatever holds this script up.
        lines = 'train_dataloader = dict(num_workers=1)\nrecipe = dict(epochs=12)'
        config = runs.write_config(folder, 'pretrain', data, lines)
        whole = folder / 'whole'
        both(config, whole)

        found = [one_dies(config, folder, whole, dice, time_) for time_ in range(args.times)]
        seconds, good = zip(*found, strict=True)
        what = f'the other ended within {max(seconds):.1f} s with one line; resumed, same weights'
        report.line('kill -9 of one of 2 processes', args.times, sum(good), what)

        good = [one_is_told(config, folder, whole, dice, time_) for time_ in range(args.times)]
        what = 'both saved at one step and ended with 75; resumed, same weights'
        report.line('SIGTERM to one of 2 processes', args.times, sum(good), what)

        found = [torchrun(config, folder, whole, dice, time_) for time_ in range(args.times)]
        seconds, good = zip(*found, strict=True)
        what = f'both started again and resumed within {max(seconds):.1f} s; same weights'
        report.line('kill -9 under dist_train.sh', args.times, sum(good), what)
    report.end()


if __name__ == '__main__':
    main()
