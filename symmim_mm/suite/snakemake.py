"""Launching a suite's pending runs on Snakemake and following them."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import symmim_mm
from symmim_mm.suite.display import Display
from symmim_mm.suite.finished import data_finished, data_sha256, read_json
from symmim_mm.suite.graph import DATA, STATE, Run, Suite
from symmim_mm.suite.job import end_with_parent
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic

SNAKEFILE = Path(__file__).with_name('Snakefile')
POLL_S = 0.5
STOP_S = 20


@contextmanager
def locked(suite: Suite) -> Iterator[str]:
    """Hold the suite's work directory; the kernel lets go of it however this process ends.

    Gives the text that marks this holder, for jobs to tell it from a later one.
    """
    path = suite.work_dir / STATE / 'lock'
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'a+', encoding='utf-8') as file:
        for attempt in range(5):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                # A job that looks whether its suite still lives holds the lock for an instant.
                if attempt < 4:
                    time.sleep(0.2)
                    continue
                file.seek(0)
                owner = file.read().partition(' ')[0] or 'unknown'
                raise UserError(
                    f'{suite.work_dir}: another suite is at work there (process '
                    f'{owner}); wait for it or give another --work-dir'
                ) from error
        owner = f'{os.getpid()} {time.time_ns()}'
        file.truncate(0)
        file.write(owner)
        file.flush()
        yield owner


def launch(
    suite: Suite, runs: list[Run], jobs: int, owner: str, slurm: bool = False
) -> dict[str, dict]:
    """Make ``runs``, at most ``jobs`` at a time; a failure stops only what depends on it.

    Returns the last state of every job that was started, by name. The caller holds the lock as
    ``owner``.
    """
    if slurm and find_spec('snakemake_executor_plugin_slurm') is None:
        raise UserError(
            '--slurm needs the package snakemake-executor-plugin-slurm; '
            f'install it with: {sys.executable} -m pip install -c '
            'requirements/constraints.txt snakemake-executor-plugin-slurm'
        )
    base = suite.work_dir / STATE
    for old in base.glob('launch-*'):
        shutil.rmtree(old, ignore_errors=True)
    folder = base / f'launch-{time.strftime("%Y%m%dT%H%M%S")}-{os.getpid()}'
    folder.mkdir(parents=True)
    plan = _plan(suite, runs, jobs, slurm) | {'owner': owner}
    write_atomic(folder / 'plan.json', json.dumps(plan, indent=1))
    with open(folder / 'snakemake.log', 'wb') as log:
        process = subprocess.Popen(
            _snakemake(folder, suite, jobs, slurm),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=_environment(),
            cwd=suite.root,
            preexec_fn=end_with_parent,
        )
        previous = signal.signal(signal.SIGTERM, _interrupt)
        try:
            states = _follow(process, folder, plan)
        except BaseException:
            _stop(process)
            raise
        finally:
            signal.signal(signal.SIGTERM, previous)
    if process.returncode and not any(state['state'] == 'failed' for state in states.values()):
        text = (folder / 'snakemake.log').read_text(encoding='utf-8', errors='replace')
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        raise UserError(
            f'Snakemake stopped: {lines[-1] if lines else process.returncode} '
            f'(log: {folder / "snakemake.log"})'
        )
    return states


def _plan(suite: Suite, runs: list[Run], jobs: int, slurm: bool) -> dict[str, Any]:
    names = {run.name for run in runs}
    make_data = not data_finished(suite)
    total = len(runs) + 1
    table: dict[str, dict[str, Any]] = {}
    if make_data:
        log = suite.work_dir / STATE / 'data-log.txt'
        table[DATA] = {'needs': [], 'priority': total, 'log': str(log)}
    for index, run in enumerate(runs):
        needs = [DATA] * make_data + [run.parent] * (run.parent in names)
        table[run.name] = {
            'needs': needs,
            'priority': total - 1 - index,
            'log': str(Path(run.folder) / 'log.txt'),
            'run': asdict(run),
        }
    return {
        'jobs': table,
        'root': str(suite.root),
        'work_dir': str(suite.work_dir),
        'python': sys.executable,
        'generator': list(suite.generator),
        'manifest': str(suite.manifest) if suite.manifest else None,
        'data_sha256': None if make_data else data_sha256(suite),
        # On a cluster the scheduler deals out the cores, and jobs end with the scheduler's help.
        'threads': None if slurm else max(1, _cores() // jobs),
        'watch': not slurm,
        'lock': str(suite.work_dir / STATE / 'lock'),
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def default_jobs() -> int:
    """As many runs at a time as there are cores."""
    return _cores()


def _snakemake(folder: Path, suite: Suite, jobs: int, slurm: bool) -> list[str]:
    words = [
        sys.executable,
        '-m',
        'snakemake',
        '--snakefile',
        str(SNAKEFILE),
        '--directory',
        str(folder),
        '--config',
        f'plan={folder / "plan.json"}',
        '--nolock',
        '--keep-going',
        '--scheduler',
        'greedy',
        '--runtime-source-cache-path',
        str(folder / 'cache'),
        '--jobs',
        str(jobs),
    ]
    if slurm:
        words += ['--executor', 'slurm', '--latency-wait', '60', *_status_command()]
        if suite.slurm:
            words += [
                '--default-resources',
                *(f'{key}={value}' for key, value in suite.slurm.items()),
            ]
        return words
    return [*words, '--cores', str(jobs)]


def _status_command() -> list[str]:
    """``squeue`` where Slurm keeps no accounts: the plugin would wait for ``sacct`` for ever."""
    try:
        answer = subprocess.run(['sacct', '--noheader'], capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return ['--slurm-status-command', 'squeue'] if answer.returncode else []


def _environment() -> dict[str, str]:
    # The jobs import this package, which need not be installed for that.
    package = str(Path(symmim_mm.__file__).parents[1])
    path = os.environ.get('PYTHONPATH')
    return dict(os.environ, PYTHONPATH=package + (os.pathsep + path if path else ''))


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _stop(process: subprocess.Popen) -> None:
    """Let Snakemake cancel its jobs; those of this machine end with the suite's lock anyway."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _follow(process: subprocess.Popen, folder: Path, plan: dict[str, Any]) -> dict[str, dict]:
    states: dict[str, dict] = {}
    with Display(len(plan['jobs'])) as display:
        ended = False
        while True:
            for name in plan['jobs']:
                state = read_json(folder / 'state' / f'{name}.json')
                if state is not None and state != states.get(name):
                    states[name] = state
                    display.changed(name, state)
            display.refresh()
            if ended:
                return states
            ended = process.poll() is not None
            if not ended:
                time.sleep(POLL_S)
