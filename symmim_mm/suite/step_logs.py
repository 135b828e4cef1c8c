"""What the logs of the steps of a suite last say."""

import os
import re
from pathlib import Path

TAIL = 1 << 14  # bytes of a log that are looked at
_STEP = re.compile(r'(?:Epoch|Iter)\((?:train|val|test)\)\s+(?:\[[^\]]*\]\s*)+')
_LOSS = re.compile(r'\bloss: (\S+)')
_ETA = re.compile(r'\beta: (\S+(?: days?, \S+)?)')


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
