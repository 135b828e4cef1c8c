"""Progress of work on many images, on stderr: a bar on a terminal, elsewhere a line a minute."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL_S = 60.0


@contextmanager
def progress_bar(text: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show progress while the block runs, which is given ``advance(count=1)`` to call.

    Args:
        text: what is done, such as ``'checking'``.
        total: number of images, None where it is not known.
    """
    # Imported here: a training that finds its index needs no bar.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if console.is_terminal:
        label = TextColumn('{task.description}', markup=False)  # paths may hold brackets
        columns = (label, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(text, total=total)
            yield lambda count=1: bar.advance(task, count)
        return
    done, printed = 0, time.monotonic()

    def advance(count: int = 1) -> None:
        nonlocal done, printed
        done += count
        if time.monotonic() - printed >= INTERVAL_S:
            printed = time.monotonic()
            end = '' if total is None else f' of {total:,}'
            print(f'{text}: {done:,}{end} images', file=sys.stderr, flush=True)

    yield advance
