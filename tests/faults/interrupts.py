#!/usr/bin/env python3
"""Ctrl-C at random moments of the long commands: one line, no process left, and can it resume?

python tests/faults/interrupts.py --times 20
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import outcomes
import psutil
import runs
from sample_folders import files_of

AT_WORK = 0.7  # share of its time after which a small command may only be ending
LEFT_S = 10  # for processes to notice that the main one has ended
SHARDS = ['--short-side', '48', '--shard-images', '100', '--jobs', '2']


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
    tool: str
    words: Callable[[Path], list[str | Path]]
    first: Callable[[Path], Path]
    outcome: Callable[[Path], object]

    def start(self, out: Path) -> int:
        """Start it in a session of its own, as in a terminal, and wait until it is at work."""
        process = runs.start(self.words(out), log_of(out), tool=self.tool)
        while not self.first(out).exists() and is_running(process):
            time.sleep(0.002)
        return process


def log_of(out: Path) -> Path:
    return out.with_name(f'{out.name}.log')


def is_running(process: int) -> bool:
    return psutil.Process(process).status() != psutil.STATUS_ZOMBIE


def commands(folder: Path, data: Path) -> list[Command]:
    config = runs.write_config(folder, 'pretrain', data)
    images = folder / 'many' / 'imagenet' / 'train'
    runs.must([folder / 'many'], folder / 'many.log', tool='make_sample_data.py')

    def check(out: Path) -> list[str | Path]:
        options = ['--workers', '2', '--state', f'{out}.state', '--json', out]
        return ['folder', images, *options]

    return [
        Command('check of a dataset', 'check_dataset.py', check,
                lambda out: Path(f'{out}.state'), findings_of),
        Command('writing of shards', 'prepare_dataset.py', lambda out: [images, out, *SHARDS],
                lambda out: out, files_of),
        Command('pre-training', 'train.py', lambda out: [config, '--work-dir', out, '--resume'],
                lambda out: out, weights_of),
    ]  # fmt: skip


def finish(command: Command, out: Path) -> float:
    """Run a command to a good end; return the seconds from the first that it writes to there."""
    process = command.start(out)
    begun = time.monotonic()
    if code := runs.wait(process):
        raise SystemExit(f'{command.name}: exit code {code}: {log_of(out).read_text()[-3000:]}')
    return time.monotonic() - begun


def interrupt(command: Command, out: Path, moment: float) -> bool | None:
    """Interrupt a command ``moment`` seconds after the first that it writes.

    Returns:
        Whether it ended as it should; ``None`` where it had finished before.
    """
    process = command.start(out)
    time.sleep(moment)
    if is_running(process):
        os.killpg(process, signal.SIGINT)
    code = runs.wait(process)
    if code in (0, -signal.SIGINT):  # Python has begun to shut down
        return None
    until = time.monotonic() + LEFT_S
    while (left := processes_of(process)) and time.monotonic() < until:
        time.sleep(0.02)
    text = log_of(out).read_text(errors='replace')
    good = code == 130 and text.splitlines().count('interrupted') == 1
    good = good and 'Traceback' not in text and not left
    if not good:
        what = f'after {moment:.2f} s exit code {code}, left {left}: {text[-3000:]}'
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
