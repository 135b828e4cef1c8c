"""What earlier checks found, so that an interrupted check continues and a repeated one is quick.

A SQLite file with one row for every image that was checked: a key over path, size, time of last
change and the options of the check, and the outcome. An image that has changed since has another
key and is checked again. Rows are written during the check; a process killed at any moment
loses at most the last second.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path

import cv2
import PIL

from symmim_mm.datacheck.image import Options
from symmim_mm.datacheck.layout import Job, Outcome
from symmim_mm.utils.errors import UserError

VERSION = 2  # raise it when a check finds other things in the same file
COMMIT_S = 1.0
TABLE = 'symmim_mm_dataset_check'


class Journal:
    """The outcomes of earlier checks in ``path``, which is made where it is missing.

    Raises:
        UserError: the file is no journal, is in use, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike, options: Options) -> None:
        self.path = Path(path)
        self.root = options.root
        self.options = tuple(options._replace(root=''))
        with self._reported('name a new file, or one that an earlier check wrote'):
            self.base = sqlite3.connect(self.path, timeout=5)
            self.base.execute('PRAGMA synchronous = NORMAL')
            tables = self.base.execute('SELECT name FROM sqlite_master').fetchall()
            if tables and (TABLE,) not in tables:
                raise sqlite3.DatabaseError('it holds other tables')
            self.base.execute(
                f'CREATE TABLE IF NOT EXISTS {TABLE} (key INTEGER PRIMARY KEY, outcome TEXT)'
            )
        self.committed = time.monotonic()
        self.keys: dict[Job, int] = {}  # of what is being checked

    def find(self, job: Job) -> Outcome | None:
        """Return what an earlier check found, None where the image has to be checked."""
        key = self._key(job)
        if key is None:
            return None
        with self._reported():
            query = f'SELECT outcome FROM {TABLE} WHERE key = ?'
            row = self.base.execute(query, (key,)).fetchone()
        if row is None:
            self.keys[job] = key
            return None
        findings, highest = json.loads(row[0]) if row[0] else ([], -1)
        return Outcome([tuple(finding) for finding in findings], highest)

    def note(self, job: Job, outcome: Outcome) -> None:
        """Keep the outcome of a job that :meth:`find` did not find.

        Files that could not be read are not kept: that may be different the next time.
        """
        key = self.keys.pop(job, None)
        if key is None or any(kind in ('unreadable', 'crash') for kind, *_ in outcome.findings):
            return
        text = '' if outcome == Outcome([]) else json.dumps(outcome)
        with self._reported():
            self.base.execute(f'INSERT OR REPLACE INTO {TABLE} VALUES (?, ?)', (key, text))
            if time.monotonic() - self.committed > COMMIT_S:
                self.base.commit()
                self.committed = time.monotonic()

    def close(self) -> None:
        """Write what is not yet written."""
        with closing(self.base), self._reported():
            self.base.commit()

    @contextmanager
    def _reported(self, fix: str = 'make room, or name a new file') -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UserError(f'--state {self.path} cannot be used ({error}): {fix}') from error

    def _key(self, job: Job) -> int | None:
        parts = [VERSION, cv2.__version__, PIL.__version__, self.options, job]
        for name in filter(None, (job.path, job.label_map)):
            try:
                status = os.stat(os.path.join(self.root, name))
            except OSError:
                return None
            parts.append((status.st_size, status.st_mtime_ns))
        digest = blake2b(repr(parts).encode('utf-8', 'surrogateescape'), digest_size=8).digest()
        return int.from_bytes(digest, 'big', signed=True)
