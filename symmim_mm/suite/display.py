"""Progress of a suite: a live view on a terminal, plain lines elsewhere."""

import re
import time
from pathlib import Path
from types import TracebackType
from typing import Any

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
    """Shows how many of ``total`` jobs are done and what the running ones last said."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.total = total
        self.begun = self.spoken = time.monotonic()
        self.running: dict[str, dict[str, Any]] = {}
        self.done = 0
        self.live = (
            Live(console=self.console, refresh_per_second=4, transient=True)
            if self.console.is_terminal
            else None
        )

    def __enter__(self) -> 'Display':
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live:
            self.live.stop()

    def changed(self, name: str, state: dict[str, Any]) -> None:
        """Note a job's new state (``running``, ``finished`` or ``failed``)."""
        if state['state'] == 'running':
            self.running[name] = state
            return
        self.running.pop(name, None)
        self.done += 1
        text = f'[{self.done}/{self.total}] {name} '
        if state['state'] == 'finished':
            self._say(text + f'finished in {format_duration(state["seconds"])}')
        else:
            self._say(text + f'failed after {format_duration(state["seconds"])}: {state["error"]}')

    def _say(self, text: str) -> None:
        self.spoken = time.monotonic()
        self.console.print(Text(text), soft_wrap=True)

    def refresh(self) -> None:
        """Draw the live view; elsewhere say once a minute what is running."""
        if self.live:
            self.live.update(self._view())
        elif self.running and time.monotonic() - self.spoken > QUIET_S:
            now = '; '.join(
                f'{name} {last_step(Path(state["log"]))}'.rstrip()
                for name, state in self.running.items()
            )
            self._say(f'[{self.done}/{self.total}] running: {now}')

    def _view(self) -> Group:
        elapsed = format_duration(time.monotonic() - self.begun)
        head = Table.grid(padding=(0, 1))
        head.add_row(
            ProgressBar(self.total, self.done, width=30),
            Text(f'{self.done} of {self.total} done, {elapsed}'),
        )
        jobs = Table.grid(padding=(0, 2))
        for name, state in self.running.items():
            jobs.add_row(
                Text('  ' + name, 'bold'),
                Text(format_duration(time.time() - state['started'])),
                Text(last_step(Path(state['log'])), 'dim'),
            )
        return Group(head, jobs)


def last_step(log: Path) -> str:
    """What a log last says about epoch, loss and time left, else its last line, else nothing."""
    try:
        with open(log, 'rb') as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 8192))
            lines = file.read().decode('utf-8', 'replace').splitlines()
    except OSError:
        return ''
    lines = [line.strip() for line in lines if line.strip()]
    for line in reversed(lines):
        step = _STEP.search(line)
        if step:
            loss, eta = _LOSS.search(line), _ETA.search(line)
            words = ' '.join(step.group().split())
            return words + (f' loss {loss[1]}' if loss else '') + (f' eta {eta[1]}' if eta else '')
    return lines[-1][:100] if lines else ''
