"""Steps of a suite: to generate its data, and to make one run."""

import json
import os
import time
from typing import Any

from symmim_mm.results.record import FILE_NAME
from symmim_mm.suite.file import DATA, Run, Suite
from symmim_mm.suite.finished import (
    MARKER,
    backbone_of,
    data_sha256,
    problem,
    read_json,
    record_data,
    wanted,
)
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic


class DataStep:
    """A command with what comes before and after it, which generates the data of a suite.

    ``needs`` are the names of the steps that come first.
    """

    name, needs = DATA, ()

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.log = suite.state / 'data-log.txt'

    def prepare(self) -> list[str]:
        """Return the generator's command line."""
        return self.suite.data_command()

    def check(self) -> None:
        """Record that the data are complete."""
        if not self.suite.manifest.is_file():
            raise UserError(
                f'{self.suite.generator[0]} ended without an error but left no '
                f'{self.suite.manifest}'
            )
        record_data(self.suite)


class RunStep:
    """The step that makes one run in its directory."""

    def __init__(self, suite: Suite, run: Run) -> None:
        self.suite, self.run = suite, run
        self.name = run.name
        self.needs = (DATA, run.parent.name) if run.parent else (DATA,)
        self.log = run.folder / 'log.txt'
        self.want: dict[str, Any] = {}

    def prepare(self) -> list[str] | None:
        """Prepare the directory; return the command line, ``None`` if the run is finished.

        An attempt at the same run is resumed. Anything else is moved aside, so that neither an old
        checkpoint nor an old record can pass for the new run's.
        """
        self.want = wanted(self.run, data_sha256(self.suite))
        if not problem(self.run, self.want):
            return None
        folder = self.run.folder
        # With a record it is not an interrupted run but a finished one that does not fit.
        same = read_json(folder / MARKER) == self.want and not (folder / FILE_NAME).exists()
        if not same:
            if folder.is_dir() and any(folder.iterdir()):
                stamp = time.strftime('%Y%m%dT%H%M%S') + f'-{os.getpid()}'
                aside = self.suite.state / 'replaced' / f'{self.name}-{stamp}'
                aside.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(aside)
                print(f'{self.name}: an earlier run that does not fit is kept in {aside}')
            write_atomic(folder / MARKER, json.dumps(self.want))
        return self.suite.command(self.run, backbone_of(self.run)[0], resume=same)

    def check(self) -> None:
        """Check that the record is that of the wanted run."""
        if found := problem(self.run, self.want):
            raise UserError(f'{self.run.command} ended without an error, but {found}')


Step = DataStep | RunStep
