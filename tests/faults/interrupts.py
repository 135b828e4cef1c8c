#!/usr/bin/env python3
"""Ctrl-C at random moments of the long commands: one line, no process left, and can it resume?

python tests/faults/interrupts.py --times 20
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import outcomes
import psutil
import runs

LIMIT_S = 300
AT_WORK = 0.7  # share of its time after which a small command may only be ending
LEFT_S = 10  # for processes to notice that the main one has ended
SHARDS = ['--short-side', '48', '--shard-images', '100', '--jobs', '2']


def start(command: list[str | Path]) -> subprocess.Popen:
    """Start a command in a session of its own, as in a terminal."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=runs.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs that ignore interrupts, and their children inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        start_new_session=True,
    )


def processes_of(session: int) -> list[int]:
    """Return the processes of a session."""
    found = []
    for process in psutil.pids():
        try:
            if os.getsid(process) == session:
                found.append(process)
        except ProcessLookupError:
            continue
    return found


def files_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    paths = (path for path in folder.rglob('*') if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def findings_of(report: Path) -> dict:
    """Return what a check found, without what depends on the time and on earlier checks."""
    found = json.loads(report.read_text())
    return dict(findings=found['findings'], images=found['counts']['checked']['images'])


def weights_of(work_dir: Path) -> dict[str, bytes]:
    state = outcomes.last_checkpoint(work_dir)['state_dict']
    return {key: value.numpy().tobytes() for key, value in state.items()}


class Command(NamedTuple):
    """A command, what it writes first, and its outcome, given the path it writes to."""

    name: str
    words: Callable[[Path], list[str | Path]]
    first: Callable[[Path], Path]
    outcome: Callable[[Path], object]


def commands(folder: Path, data: Path) -> list[Command]:
    config = runs.write_config(folder, 'pretrain', data)
    images = folder / 'many' / 'imagenet' / 'train'
    subprocess.run(
        [sys.executable, 'tools/make_sample_data.py', folder / 'many'],
        cwd=runs.ROOT, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip

    def check(out: Path) -> list[str | Path]:
        options = ['--workers', '2', '--state', f'{out}.state', '--json', out]
        return ['tools/check_dataset.py', 'folder', images, *options]

    return [
        Command('check of a dataset', check, lambda out: Path(f'{out}.state'), findings_of),
        Command(
            'writing of shards',
            lambda out: ['tools/prepare_dataset.py', images, out, *SHARDS],
            lambda out: out,
            files_of,
        ),
        Command(
            'pre-training',
            lambda out: ['tools/train.py', config, '--work-dir', out, '--resume'],
            lambda out: out,
            weights_of,
        ),
    ]


def finish(command: Command, out: Path) -> float:
    """Run a command to a good end; return the seconds from the first that it writes to there."""
    process = start(command.words(out))
    wait_for_first(command, out, process)
    begun = time.monotonic()
    _, errors = process.communicate(timeout=LIMIT_S)
    if process.returncode:
        raise SystemExit(f'{command.name}: exit code {process.returncode}: {errors[-3000:]}')
    return time.monotonic() - begun


def wait_for_first(command: Command, out: Path, process: subprocess.Popen) -> None:
    while not command.first(out).exists() and process.poll() is None:
        time.sleep(0.002)


def interrupt(command: Command, out: Path, moment: float) -> bool | None:
    """Interrupt a command ``moment`` seconds after the first that it writes.

    Returns:
        Whether it ended as it should; ``None`` where it had finished before.
    """
    process = start(command.words(out))
    wait_for_first(command, out, process)
    time.sleep(moment)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        print(f'{command.name}: continued after {moment:.2f} s', file=sys.stderr)
        return False
    if process.returncode in (0, -signal.SIGINT):  # Python has begun to shut down
        return None
    until = time.monotonic() + LEFT_S
    while (left := processes_of(process.pid)) and time.monotonic() < until:
        time.sleep(0.02)
    good = process.returncode == 130 and errors.splitlines()[-1:] == ['interrupted']
    good = good and 'Traceback' not in errors and not left
    if not good:
        what = f'after {moment:.2f} s exit code {process.returncode}, left {left}: {errors}'
        print(f'{command.name}: {what}', file=sys.stderr)
    return good


def inject(run: runs.Injection) -> None:
    for command in commands(run.folder, run.data):
        folder = run.folder / command.name.replace(' ', '_')
        folder.mkdir()
        whole = folder / 'whole'
        span = finish(command, whole)
        survived = late = 0
        for number in range(run.args.times):
            out = folder / str(number)
            good = interrupt(command, out, run.dice.uniform(0, AT_WORK * span))
            late += good is None
            if good is not None:  # otherwise the result must be there
                finish(command, out)
            same = command.outcome(out) == command.outcome(whole)
            survived += good is not False and same
        outcome = f'one line, exit code 130, no process left ({late} had ended before); the same '
        outcome += 'command continued to the same result'
        run.report(f'Ctrl-C, {command.name}', run.args.times, survived, outcome)


if __name__ == '__main__':
    runs.script(__doc__, inject, times=5)
