"""The findings of one check: collected in bounded memory, printed, and written as JSON."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symmim_mm.datacheck.kinds import LEVELS, MEANINGS, NOTICE, PROBLEM
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic
from symmim_mm.utils.text import counted, visible

KEPT = 10_000  # findings of one kind kept with path and text; beyond that only their number
NAMED = 5  # names that one text lists
SCHEMA = 1


@dataclass
class Report:
    """Findings and counts of one check, that is of the layout, of the folder ``root``."""

    check: str
    root: str | os.PathLike
    numbers: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, path: str | os.PathLike, text: str = '') -> None:
        """Note a finding; ``path`` is relative to the root, ``text`` one line without the path."""
        if kind not in MEANINGS:
            raise KeyError(kind)
        self.numbers[kind] += 1
        places = self.findings.setdefault(kind, [])
        if len(places) < KEPT:
            places.append((os.fspath(path), text))

    def fact(self, name: str, text: str, **counts: Any) -> None:
        """Note what was counted: one line of the summary, and the numbers for the JSON."""
        self.facts[name] = text
        if counts:
            self.counts[name] = counts

    def total(self, level: str) -> int:
        """Return the number of findings of a level, PROBLEM or NOTICE."""
        return sum(self.numbers[kind] for kind in LEVELS[level])

    def summary(self) -> str:
        """Return ``2 problems, 1 notice``, or ``no problems``."""
        problems, notices = self.total(PROBLEM), self.total(NOTICE)
        text = counted(problems, 'problem') if problems else 'no problems'
        return text + (f', {counted(notices, "notice")}' if notices else '')

    def lines(self, limit: int = 10) -> Iterator[str]:
        """Yield the printed lines: facts, then each kind with at most ``limit`` findings."""
        yield visible(str(self.root))
        for name, text in self.facts.items():
            yield f'  {name}: {visible(text)}'
        for level, meanings in LEVELS.items():
            if total := self.total(level):
                yield from ('', counted(total, level))
            for kind in filter(self.findings.get, meanings):
                number, places = self.numbers[kind], sorted(self.findings[kind])
                yield f'  {kind} ({number:,}): {meanings[kind]}'
                for path, text in places[:limit]:
                    yield '    ' + ': '.join(visible(part) for part in (path, text) if part)
                if number > limit:
                    yield f'    and {number - min(limit, len(places)):,} more'

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; ``left_out`` counts findings without details."""
        return {
            'schema': SCHEMA,
            'check': self.check,
            'root': str(self.root),
            'counts': self.counts,
            'problems': self.total(PROBLEM),
            'notices': self.total(NOTICE),
            'numbers': dict(sorted(self.numbers.items())),
            'left_out': {
                kind: left
                for kind, places in sorted(self.findings.items())
                if (left := self.numbers[kind] - len(places))
            },
            'findings': [
                {'level': level, 'kind': kind, 'path': path, 'text': text}
                for level, meanings in LEVELS.items()
                for kind in filter(self.findings.get, meanings)
                for path, text in sorted(self.findings[kind])
            ],
        }


def check_writable(path: str | os.PathLike) -> None:
    """Refuse, before a check of an hour, a JSON file that could not be written at its end."""
    if os.path.isdir(path):
        raise UserError(f'--json {path} is a folder: name a file')
    folder = next(folder for folder in Path(path).absolute().parents if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f'cannot write --json {path}: {folder} is not a folder that can be written')


def write_json(path: str | os.PathLike, report: Report, **more: Any) -> None:
    """Write a report and further values, whole or not at all."""
    write_atomic(path, json.dumps({**report.as_dict(), **more}, indent=1) + '\n')
