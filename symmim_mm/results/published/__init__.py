"""Published results, each with its source; ``values.csv`` holds one number a line, in percent.

They are shown next to results of our own on the same datasets, never mixed into them. A source is
``repository@commit:path`` or a paper's ``arXiv:`` number. A method is followed by who ran or lists
it, in parentheses, where these are not its authors. ``epochs`` is the length of pre-training, as
its authors count it, where stated; ``recipe`` distinguishes several numbers of one task.
"""

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel


class Published(BaseModel, frozen=True):
    """One published number: ``value`` (percent) of ``metric`` in ``task`` on ``dataset``."""

    method: str
    arch: str
    epochs: int | None
    task: str
    dataset: str
    metric: str
    value: float
    recipe: str | None
    source: str


@cache
def load_published() -> tuple[Published, ...]:
    """Return every published number, in the order of the file."""
    with open(Path(__file__).with_name('values.csv'), encoding='utf-8', newline='') as file:
        lines = csv.DictReader(file)
        return tuple(
            Published.model_validate({key: text or None for key, text in line.items()})
            for line in lines
        )


@dataclass(frozen=True)
class PublishedRow:
    """All numbers of one method, architecture and length of pre-training."""

    items: Sequence[Published]

    @property
    def label(self) -> str:
        """Method, architecture and length of pre-training."""
        first = self.items[0]
        return f'{first.method} {first.arch}' + (f', {first.epochs} epochs' * bool(first.epochs))

    @property
    def source(self) -> str:
        """The sources, each once, in order."""
        return '; '.join(dict.fromkeys(item.source for item in self.items))

    def text(self, task: str, metric: str) -> str:
        """Return the values of one metric, with their recipes where these are named."""
        return '; '.join(
            f'{item.value:.1f}' + f' ({item.recipe})' * bool(item.recipe)
            for item in self.items
            if (item.task, item.metric) == (task, metric)
        )


def published_rows(arch: str, datasets: Collection[str]) -> list[PublishedRow]:
    """Gather the published numbers of an architecture on some datasets into rows."""
    rows: dict[tuple, list[Published]] = {}
    for item in load_published():
        if item.arch == arch and item.dataset in datasets:
            rows.setdefault((item.method, item.epochs), []).append(item)
    return [PublishedRow(items) for items in rows.values()]
