"""Start the steps of a suite as processes, in order, and follow them."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Self

from symmim_mm.suite.file import Suite
from symmim_mm.suite.step_logs import last_lines, last_step
from symmim_mm.suite.steps import Step
from symmim_mm.utils.errors import Fault, UserError, describe_exit
from symmim_mm.utils.host import available_cores
from symmim_mm.utils.locks import file_lock
from symmim_mm.utils.progress import ProgressDisplay
from symmim_mm.utils.text import format_duration
from symmim_mm.utils.warm_start import ENVIRONMENT, PROGRAM

if TYPE_CHECKING:
    from rich.progress import TaskID

POLL_S = 0.2
LOCK_S = 10  # processes of a killed suite may need a moment to end


def locked(suite: Suite) -> AbstractContextManager[int]:
    """Keep other suites out of the work directory: ``UserError`` where another one has it.

    The processes of the suite inherit the lock, which ends with the last of them, however they end.
    """
    busy = (
        f'{suite.work_dir}: another suite is running there ({{holder}}); wait for it or give '
        'another --work-dir'
    )
    return file_lock(suite.state / 'lock', busy, LOCK_S)


def _finish(step: Step, begin: int, code: int) -> None:
    """Check a step whose command has ended; raise ``UserError`` if it failed.

    ``begin`` is where its output starts in the log.
    """
    if code:
        line = last_error(last_lines(step.log, begin))
        raise UserError(line or f'it {describe_exit(code)}, without output')
    step.check()


class _Keeper:
    """The process that starts the commands, see :mod:`symmim_mm.suite.keeper`.

    Closing it ends what is running. It inherits the handle of the suite's lock.
    """

    def __init__(self, suite: Suite, environment: dict[str, str], lock: int, warm: bool) -> None:
        self.log = suite.state / 'keeper-log.txt'
        self.connection, other = Pipe()
        words = [sys.executable, '-m', 'symmim_mm.suite.keeper', str(other.fileno())]
        with other, open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                words + ['--warm'] * warm, cwd=suite.root, env=ENVIRONMENT | environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, pass_fds=[other.fileno(), lock],
            )  # fmt: skip
        self.running: set[int] = set()

    def start(self, name: str, words: Sequence[str], log: Path) -> None:
        """Start a command, whose output is appended to ``log``."""
        with self._alive():
            self.connection.send((name, list(words), str(log)))

    def ended(self) -> Iterator[tuple[str, int]]:
        """Wait a moment; yield the names of commands that have ended, with their exit codes."""
        with self._alive():
            wait = POLL_S
            while self.connection.poll(wait):
                name, process, code = self.connection.recv()
                if code is None:
                    self.running.add(process)
                else:
                    self.running.remove(process)
                    yield name, code
                wait = 0

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Report the death of the keeper, and end what it leaves running."""
        try:
            yield
        except (EOFError, ConnectionError) as error:
            for process in self.running:
                with suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)
            raise Fault(
                f'the process that starts the runs has died; its log: {self.log}'
            ) from error

    def __enter__(self) -> Self:
        """Let SIGTERM end the suite as Ctrl-C does."""
        self.previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        return self

    def __exit__(self, *_: object) -> None:
        """End what is running, and wait for it."""
        self.connection.close()
        self.process.wait()
        signal.signal(signal.SIGTERM, self.previous)


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
    # Slurm assigns the cores itself, tools/dist_train.sh divides them among its processes.
    if not slurm and not suite.gpus:
        threads = str(max(1, available_cores() // jobs))
        environment |= {'OMP_NUM_THREADS': threads, 'MKL_NUM_THREADS': threads}
    # The others start processes of their own.
    warm = suite.program == PROGRAM and not suite.gpus and not slurm
    waiting = list(steps)
    running: dict[str, tuple[Step, int]] = {}  # and where the output starts in the log
    failed: dict[str, str] = {}

    def start(step: Step) -> None:
        words = step.prepare()
        if words is None:
            return
        if slurm:
            options = (f'--{key}={value}' for key, value in suite.slurm.items())
            words = ['srun', '--ntasks=1', f'--job-name={step.name}', *options, *words]
        with open(step.log, 'ab') as log:
            log.write(f'$ {shlex.join(words)}\n'.encode())
            running[step.name] = step, log.tell()
        keeper.start(step.name, words, step.log)

    with _StepDisplay(len(steps)) as display, _Keeper(suite, environment, lock, warm) as keeper:

        def attempt(name: str, action: Callable[[], None]) -> None:
            """Do something for a step; if it is not running then, report its end."""
            try:
                action()
            except UserError as error:
                failed[name] = str(error)
            if name not in running:
                display.ended(name, failed.get(name))

        while waiting or running:
            blocked = failed.keys() | running.keys() | {step.name for step in waiting}
            ready = [step for step in waiting if blocked.isdisjoint(step.needs)]
            if not running and not ready:
                break  # what is left waits for a step that failed
            for step in ready[: jobs - len(running)]:
                waiting.remove(step)
                display.started(step.name, step.log)
                attempt(step.name, partial(start, step))
            for name, code in keeper.ended():
                attempt(name, partial(_finish, *running.pop(name), code))
            display.refresh()
    return failed


def last_error(lines: Sequence[str]) -> str:
    """Return the last line of a log that names an error, else its last line."""
    for line in reversed(lines):
        word = line.split(':', 1)[0]
        if ':' in line and ' ' not in word and word.lower().endswith(('error', 'exception')):
            return line
    return lines[-1] if lines else ''
