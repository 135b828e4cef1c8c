"""Progress of long work: bars that move on a terminal, now and then a line elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

INTERVAL_S = 60.0  # between lines, where there is no terminal


class ProgressDisplay:
    """Bars while its block runs; what is printed appears above them.

    Args:
        counts: show how much of each total is done, and the time that is left.
        stderr: show them there, not on stdout.
        transient: remove the bars at the end.
    """

    def __init__(self, *, counts: bool = True, stderr: bool = True, transient: bool = True) -> None:
        # Imported here: most commands show no progress.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.console = Console(stderr=stderr, highlight=False)
        self.live = self.console.is_terminal
        columns = [
            TextColumn('{task.description}', markup=False),  # paths may hold brackets
            BarColumn(30),
            *([MofNCompleteColumn()] if counts else []),
            TimeElapsedColumn(),
            *([TimeRemainingColumn()] if counts else []),
            TextColumn('{task.fields[detail]}', style='dim', markup=False),
        ]
        self._bars = Progress(
            *columns, console=self.console, transient=transient, disable=not self.live
        )
        self._printed = time.monotonic()

    def __enter__(self) -> 'ProgressDisplay':
        """Show the bars."""
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop them."""
        self._bars.stop()

    def add(self, text: str, total: int | None = None, done: int = 0) -> 'TaskID':
        """Add a bar; its length is unknown without a total."""
        return self._bars.add_task(text, total=total, completed=done, detail='')

    def update(self, bar: 'TaskID', done: int | None = None, detail: str = '') -> None:
        """Set how much is done, and the text at the end of a bar."""
        self._bars.update(bar, completed=done, detail=detail)

    def remove(self, bar: 'TaskID') -> None:
        """Remove a bar."""
        self._bars.remove_task(bar)

    def is_due(self) -> bool:
        """Return whether there is no terminal, and a line has not been printed for a while."""
        return not self.live and time.monotonic() - self._printed >= INTERVAL_S

    def print(self, line: str) -> None:
        """Print a line as it is."""
        self._printed = time.monotonic()
        self.console.print(line, markup=False, emoji=False, soft_wrap=True)


@contextmanager
def progress_bar(text: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show progress on images while the block runs, which gets ``advance(count=1)`` to call.

    Args:
        text: what is done, such as ``'checking'``.
        total: number of images, None where it is not known.
    """
    done = 0
    with ProgressDisplay() as display:
        bar = display.add(text, total)

        def advance(count: int = 1) -> None:
            nonlocal done
            done += count
            if display.live:
                display.update(bar, done)
            elif display.is_due():
                end = '' if total is None else f' of {total:,}'
                display.print(f'{text}: {done:,}{end} images')

        yield advance
