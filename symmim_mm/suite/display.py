"""Progress of a suite: a live view on a terminal, plain lines elsewhere."""

import re
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from symmim_mm.utils.text import format_duration

QUIET_S = 60
_STEP = re.compile(r'(?:Epoch|Iter)\((?:train|val|test)\)\s+(?:\[[^\]]*\]\s*)+')
_LOSS = re.compile(r'\bloss: (\S+)')
_ETA = re.compile(r'\beta: (\S+(?: days?, \S+)?)')


class Display:
    """Shows how many of ``total`` jobs are done and what the running ones last logged."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.total = total
        self.begun = self.spoken = time.monotonic()
        self.running: dict[str, tuple[float, Path]] = {}
        self.done = 0
        self.live = (
            Live(console=self.console, refresh_per_second=4, transient=True)
            if self.console.is_terminal
            else None
        )

    def __enter__(self) -> 'Display':
        """Start the live view."""
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the live view."""
        if self.live:
            self.live.stop()

    def started(self, name: str, log: Path) -> None:
        """Add a running job."""
        self.running[name] = time.monotonic(), log

    def ended(self, name: str, error: str | None) -> None:
        """Report the end of a job, with its error if it failed."""
        begun, _ = self.running.pop(name)
        self.done += 1
        took = format_duration(time.monotonic() - begun)
        how = f'finished in {took}' if error is None else f'failed after {took}: {error}'
        self._say(f'[{self.done}/{self.total}] {name} {how}')

    def _say(self, text: str) -> None:
        self.spoken = time.monotonic()
        self.console.print(Text(text), soft_wrap=True)

    def refresh(self) -> None:
        """Draw the live view; elsewhere print once a minute what is running."""
        if self.live:
            self.live.update(self._view())
        elif self.running and time.monotonic() - self.spoken > QUIET_S:
            now = '; '.join(
                f'{name} {last_step(log)}'.rstrip() for name, (_, log) in self.running.items()
            )
            self._say(f'[{self.done}/{self.total}] running: {now}')

    def _view(self) -> Group:
        now = time.monotonic()
        head = Table.grid(padding=(0, 1))
        head.add_row(
            ProgressBar(self.total, self.done, width=30),
            Text(f'{self.done} of {self.total} done, {format_duration(now - self.begun)}'),
        )
        jobs = Table.grid(padding=(0, 2))
        for name, (begun, log) in self.running.items():
            took = format_duration(now - begun)
            jobs.add_row(Text('  ' + name, 'bold'), Text(took), Text(last_step(log), 'dim'))
        return Group(head, jobs)


def last_step(log: Path) -> str:
    """Return what a log last says about epoch, loss and time left, else its last line."""
    try:
        with open(log, 'rb') as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 8192))
            lines = file.read().decode('utf-8', 'replace').splitlines()
    except OSError:
        return ''
    lines = [line.strip() for line in lines if line.strip()]
    for line in reversed(lines):
        if step := _STEP.search(line):
            loss, eta = _LOSS.search(line), _ETA.search(line)
            words = ' '.join(step.group().split())
            return words + (f' loss {loss[1]}' if loss else '') + (f' eta {eta[1]}' if eta else '')
    return lines[-1][:100] if lines else ''
