"""Which runs of a suite are finished.

That is decided by content, never by file times: the record of a run must carry the hash of the
config as it is now, the seed, and the hash of its backbone as it is now.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from symmim_mm.results.record import FILE_NAME, Record
from symmim_mm.suite.graph import STATE, Run, Suite
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256

MARKER = 'suite.json'


def data_sha256(suite: Suite) -> str | None:
    """Hash of the generated data's manifest; ``None`` if the suite generates none or not yet."""
    if suite.manifest is None or not suite.manifest.is_file():
        return None
    return file_sha256(suite.manifest)


def data_finished(suite: Suite) -> bool:
    """Whether the data are there and were made by the command that the suite names now."""
    if suite.manifest is None:
        return True
    made = read_json(suite.work_dir / STATE / 'data.json')
    return made == {'generator': list(suite.generator), 'manifest_sha256': data_sha256(suite)}


def read_json(path: Path) -> Any:
    """Content of a JSON file of our own, or ``None`` where there is none or it is broken."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError):
        return None


@dataclass(frozen=True)
class Wanted:
    """What the record of a run must say for the run to be finished."""

    config_sha256: str
    seed: int
    backbone_sha256: str | None
    data_sha256: str | None

    def difference(self, record: Record) -> str | None:
        """The first field in which a record differs, or ``None``."""
        for name in ('config_sha256', 'seed', 'backbone_sha256'):
            if getattr(record, name) != getattr(self, name):
                return f'{name} is {getattr(record, name)}, wanted {getattr(self, name)}'
        return None


def backbone_of(run: Run) -> tuple[Path, str] | None:
    """Checkpoint file and its hash of the pre-training a run starts from.

    ``None`` for a random start. ``UserError`` if the pre-training has no valid record or its
    checkpoint is not the file that the record names.
    """
    if run.parent_folder is None:
        return None
    record = Record.read(Path(run.parent_folder) / FILE_NAME)
    if record.checkpoint is None:
        raise UserError(f'{run.parent}: its record names no checkpoint')
    path = Path(run.parent_folder) / record.checkpoint
    if not path.is_file():
        raise UserError(f'{path}: the checkpoint of {run.parent} is missing')
    if file_sha256(path) != record.checkpoint_sha256:
        raise UserError(f'{path}: not the checkpoint that the record of {run.parent} names')
    return path, record.checkpoint_sha256


def wanted(run: Run, data_hash: str | None) -> Wanted:
    """What ``run`` must be now; ``UserError`` as for ``backbone_of``."""
    backbone = backbone_of(run)
    return Wanted(run.config_sha256, run.seed, backbone[1] if backbone else None, data_hash)


def is_finished(run: Run, want: Wanted) -> bool:
    """Whether the run's directory holds the result that is wanted.

    A pre-training's checkpoint must still be there, as its record names it. A run that a suite
    made also remembers the data it saw; one made by hand does not and is taken as it is.
    """
    try:
        record = Record.read(Path(run.folder) / FILE_NAME)
        if want.difference(record) is not None:
            return False
        if run.task == 'pretrain':
            file = Path(run.folder) / (record.checkpoint or '')
            if not file.is_file() or file_sha256(file) != record.checkpoint_sha256:
                return False
    except UserError:
        return False
    marker = read_json(Path(run.folder) / MARKER)
    return marker is None or marker == asdict(want)


def pending(suite: Suite) -> list[Run]:
    """The runs that are not finished, in the order in which they are to be started."""
    data_ready = data_finished(suite)
    data_hash = data_sha256(suite)
    unfinished: set[str] = set()
    for run in suite.runs:
        done = False
        if data_ready and run.parent not in unfinished:
            try:
                done = is_finished(run, wanted(run, data_hash))
            except UserError:
                done = False
        if not done:
            unfinished.add(run.name)
    return [run for run in suite.runs if run.name in unfinished]
