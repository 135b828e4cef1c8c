"""Progress of a suite: a live view on a terminal, plain lines elsewhere."""

import os
import re
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from symmim_mm.utils.text import format_duration

QUIET_S = 60
TAIL = 1 << 14  # bytes of a log that are looked at
_STEP = re.compile(r'(?:Epoch|Iter)\((?:train|val|test)\)\s+(?:\[[^\]]*\]\s*)+')
_LOSS = re.compile(r'\bloss: (\S+)')
_ETA = re.compile(r'\beta: (\S+(?: days?, \S+)?)')


class Display:
    """Shows how many of ``total`` jobs are done and what the running ones last logged."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.total, self.done = total, 0
        self.spoken = time.monotonic()
        self.running: dict[str, tuple[TaskID, Path]] = {}
        self.progress = Progress(
            TextColumn('{task.description}'), BarColumn(30), TimeElapsedColumn(),
            TextColumn('{task.fields[step]}', style='dim'),
            console=self.console, transient=True, disable=not self.console.is_terminal,
        )  # fmt: skip
        self.all = self.progress.add_task('all', total=total, step='')

    def __enter__(self) -> 'Display':
        """Start the live view."""
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Remove the live view."""
        self.progress.stop()

    def started(self, name: str, log: Path) -> None:
        """Add a running job."""
        self.running[name] = self.progress.add_task(escape(name), total=None, step=''), log

    def ended(self, name: str, error: str | None) -> None:
        """Report the end of a job, with its error if it failed."""
        job, _ = self.running.pop(name)
        took = format_duration(self.progress.tasks[self.progress.task_ids.index(job)].elapsed or 0)
        self.progress.remove_task(job)
        self.done += 1
        self.progress.update(self.all, completed=self.done)
        how = f'finished in {took}' if error is None else f'failed after {took}: {error}'
        self._print(f'[{self.done}/{self.total}] {name} {how}')

    def refresh(self) -> None:
        """Update the live view; elsewhere print once a minute what is running."""
        if self.console.is_terminal:
            for job, log in self.running.values():
                self.progress.update(job, step=escape(last_step(log)))
        elif self.running and time.monotonic() - self.spoken > QUIET_S:
            now = (f'{name} {last_step(log)}'.rstrip() for name, (_, log) in self.running.items())
            self._print(f'[{self.done}/{self.total}] running: {"; ".join(now)}')

    def _print(self, text: str) -> None:
        self.spoken = time.monotonic()
        self.console.print(Text(text), soft_wrap=True)


def last_lines(log: Path, begin: int = 0) -> list[str]:
    """Return the last lines of a log that are not empty, none from before a position in it."""
    try:
        with open(log, 'rb') as file:
            file.seek(max(begin, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().decode('utf-8', 'replace').splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip()]


def last_step(log: Path) -> str:
    """Return what a log last says about epoch, loss and time left, else its last line."""
    lines = last_lines(log)
    for line in reversed(lines):
        if step := _STEP.search(line):
            loss, eta = _LOSS.search(line), _ETA.search(line)
            words = ' '.join(step.group().split())
            return words + (f' loss {loss[1]}' if loss else '') + (f' eta {eta[1]}' if eta else '')
    return lines[-1][:100] if lines else ''
