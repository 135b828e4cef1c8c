"""How far a check is: a bar on a terminal, elsewhere a line a minute, on stderr."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

QUIET_S = 60.0


class Ticker:
    """Counts ``total`` pictures; a context manager."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.begun = self.spoken = time.monotonic()
        console = Console(stderr=True)
        self.bar = None
        if console.is_terminal:
            self.bar = Progress(
                TextColumn('checking'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                console=console, transient=True,
            )  # fmt: skip
            self.task = self.bar.add_task('checking', total=total)

    def __enter__(self) -> 'Ticker':
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    @property
    def seconds(self) -> float:
        """Since the ticker was made."""
        return time.monotonic() - self.begun

    def advance(self) -> None:
        """One picture more."""
        self.done += 1
        if self.bar:
            self.bar.advance(self.task)
        elif time.monotonic() - self.spoken > QUIET_S:
            self.spoken = time.monotonic()
            print(f'checked {self.done:,} of {self.total:,} pictures', file=sys.stderr, flush=True)
