"""Start the steps of a suite as processes, in order, and follow them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from symmim_mm.suite.file import Suite
from symmim_mm.suite.step_logs import last_lines, last_step
from symmim_mm.suite.steps import Step
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.locks import file_lock
from symmim_mm.utils.progress import ProgressDisplay
from symmim_mm.utils.text import format_duration

if TYPE_CHECKING:
    from rich.progress import TaskID

KEEPER = Path(__file__).with_name('keeper.py')
POLL_S = 0.2
LOCK_S = 10  # processes of a killed suite may need a moment to end
STOP_S = 20  # and an interrupted training to save its checkpoint


def locked(suite: Suite) -> AbstractContextManager[int]:
    """Keep other suites out of the work directory: ``UserError`` where another one has it.

    The processes of the suite inherit the lock, which ends with the last of them, however they end.
    """
    busy = (
        f'{suite.work_dir}: another suite is running there ({{holder}}); wait for it or give '
        'another --work-dir'
    )
    return file_lock(suite.state / 'lock', busy, LOCK_S)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


@dataclass
class _Job:
    """A step whose command is running; ``begin`` is where its output starts in the log."""

    step: Step
    process: subprocess.Popen
    begin: int

    def finish(self, code: int) -> None:
        """Check a command that has ended; raise ``UserError`` if it failed."""
        self.kill(signal.SIGKILL)  # what the command left running
        self.process.stdin.close()
        if code:
            line = last_error(last_lines(self.step.log, self.begin))
            how = f'signal {signal.Signals(code - 128).name}' if code > 128 else f'exit code {code}'
            raise UserError(line or f'no output, {how}')
        self.step.check()

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to the command and all processes that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


class _StepDisplay(ProgressDisplay):
    """Shows how many of ``total`` steps are done and what the running ones last logged."""

    def __init__(self, total: int) -> None:
        super().__init__(counts=False, stderr=False)
        self.total, self.done = total, 0
        self.all = self.add('all', total)
        self.running: dict[str, tuple[TaskID, Path, float]] = {}

    def started(self, name: str, log: Path) -> None:
        """Add a running step."""
        self.running[name] = self.add(name), log, time.monotonic()

    def ended(self, name: str, error: str | None) -> None:
        """Report the end of a step, with its error if it failed."""
        bar, _, start = self.running.pop(name)
        took = format_duration(time.monotonic() - start)
        self.remove(bar)
        self.done += 1
        self.update(self.all, self.done)
        how = f'finished in {took}' if error is None else f'failed after {took}: {error}'
        self.print(f'[{self.done}/{self.total}] {name} {how}')

    def refresh(self) -> None:
        """Update the bars; without a terminal print now and then what is running."""
        if self.live:
            for bar, log, _ in self.running.values():
                self.update(bar, detail=last_step(log))
        elif self.running and self.is_due():
            now = (
                f'{name} {last_step(log)}'.rstrip() for name, (_, log, _) in self.running.items()
            )
            self.print(f'[{self.done}/{self.total}] running: {"; ".join(now)}')


def launch(
    suite: Suite, steps: Sequence[Step], jobs: int, lock: int, slurm: bool = False
) -> dict[str, str]:
    """Run steps in their order, at most ``jobs`` at a time, each as a job of Slurm if asked for.

    A failure stops only what depends on it. The processes inherit the handle of the suite's lock.

    Returns:
        The error of each step that failed, by name.
    """
    if slurm and shutil.which('srun') is None:
        raise UserError('--slurm: srun not found: call this where Slurm is installed')
    environment = dict(os.environ, PYTHONUNBUFFERED='1')
    # The commands import this package, which need not be installed.
    path = [str(Path(__file__).parents[2]), environment.get('PYTHONPATH', '')]
    environment['PYTHONPATH'] = os.pathsep.join(filter(None, path))
    if not slurm:  # where the scheduler assigns the cores
        threads = str(max(1, available_cores() // jobs))
        environment |= {'OMP_NUM_THREADS': threads, 'MKL_NUM_THREADS': threads}
    waiting, running = list(steps), []
    failed: dict[str, str] = {}

    def start(step: Step) -> _Job | None:
        words = step.prepare()
        if words is None:
            return None
        if slurm:
            options = (f'--{key}={value}' for key, value in suite.slurm.items())
            words = ['srun', '--ntasks=1', f'--job-name={step.name}', *options, *words]
        with open(step.log, 'ab') as log:
            log.write(('$ ' + ' '.join(words) + '\n').encode())
            log.flush()
            process = subprocess.Popen(
                [sys.executable, str(KEEPER), *words], cwd=suite.root, env=environment,
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, pass_fds=[lock],
            )  # fmt: skip
            return _Job(step, process, log.tell())

    with _StepDisplay(len(steps)) as display, _sigterm_as_interrupt():

        def attempt(step: Step, action: Callable[[], _Job | None]) -> _Job | None:
            try:
                return action()
            except UserError as error:
                failed[step.name] = str(error)
            return None

        try:
            while waiting or running:
                blocked = failed.keys() | {step.name for step in waiting}
                blocked |= {job.step.name for job in running}
                ready = [step for step in waiting if blocked.isdisjoint(step.needs)]
                if not running and not ready:
                    break  # what is left waits for a step that failed
                for step in ready[: jobs - len(running)]:
                    waiting.remove(step)
                    display.started(step.name, step.log)
                    if job := attempt(step, lambda step=step: start(step)):
                        running.append(job)
                    else:
                        display.ended(step.name, failed.get(step.name))
                for job in list(running):
                    if (code := job.process.poll()) is not None:
                        running.remove(job)
                        attempt(job.step, lambda job=job, code=code: job.finish(code))
                        display.ended(job.step.name, failed.get(job.step.name))
                display.refresh()
                time.sleep(POLL_S)
        except BaseException:
            _stop(running)
            raise
    return failed


def _stop(running: Sequence[_Job]) -> None:
    """End processes: let trainings save a checkpoint, and kill what takes too long."""
    for job in running:
        job.kill(signal.SIGTERM)
    until = time.monotonic() + STOP_S
    for job in running:
        with suppress(subprocess.TimeoutExpired):
            job.process.wait(max(0.0, until - time.monotonic()))
        job.kill(signal.SIGKILL)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def last_error(lines: Sequence[str]) -> str:
    """Return the last line of a log that names an error, else its last line."""
    for line in reversed(lines):
        word = line.split(':', 1)[0]
        if ':' in line and ' ' not in word and word.lower().endswith(('error', 'exception')):
            return line
    return lines[-1] if lines else ''
