"""From directories of finished runs to ``results.csv``, ``results.md`` and ``index.html``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from symmim_mm.results.model_index import write_model_index
from symmim_mm.results.page.report import render_page
from symmim_mm.results.record import Record, find_records
from symmim_mm.results.render import to_csv, to_markdown, to_terminal
from symmim_mm.results.runs import RecordedRun
from symmim_mm.results.table import Table
from symmim_mm.results.tabulate import build_tables
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic
from symmim_mm.utils.text import visible


@dataclass(frozen=True)
class Collected:
    """The tables, the page, and what had to be left out."""

    tables: list[Table]
    page: Path
    unreadable: list[str]  # records that are broken
    problems: list[str]  # curves and images that are missing or broken
    notes: list[str]  # records that a later one of the same run replaces

    def show(self) -> None:
        """Print the tables and the page's path; say on stderr what was left out, a line each."""
        # A log file has no width of its own: a table needs more than the 80 columns of rich.
        console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
        for table in to_terminal(self.tables):
            console.print(table)
        for line in (*self.unreadable, *self.problems, *self.notes):
            print('warning: ' + ' '.join(line.split()), file=sys.stderr)
        print(f'report: {self.page}')


def collect(
    folders: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    model_index: str | None = None,
) -> Collected:
    """Read all records below a folder, or several, and write the table and the page into ``out``.

    The folders, of suites and runs, may come from others: nothing outside of a run's own folder is
    read, and strings of the records are shown with invisible characters escaped. ``out`` is by
    default ``report`` in the first folder. ``model_index`` is what the paths of checkpoints begin
    with in the ``model-index.yml`` that is written too, ``''`` for where they are now.

    Raises:
        UserError: a folder does not exist or no valid record lies below any of them.
    """
    if isinstance(folders, str | Path):
        folders = [folders]
    if out is None:
        out = Path(folders[0], 'report')
        if out.is_symlink():
            raise UserError(f'{out} is a link: name the folder to write into with --out')
    runs: list[RecordedRun] = []
    unreadable: list[str] = []
    for path in find_records(folders):
        try:
            runs.append(RecordedRun(_printable(Record.read(path)), path.parent))
        except UserError as error:
            unreadable.append(str(error))
    if not runs:
        reason = unreadable[0] if unreadable else 'no result.json there; a finished run leaves one'
        raise UserError(f'{", ".join(map(str, folders))}: no result to collect: {reason}')
    unreadable = list(map(visible, unreadable))
    tables, notes = build_tables([run.record for run in runs])
    problems: list[str] = []
    title = visible(', '.join(dict.fromkeys(Path(folder).resolve().name for folder in folders)))
    page = render_page(
        title, runs, tables, notes + [f'record left out: {text}' for text in unreadable], problems
    )
    out = Path(out)
    write_atomic(out / 'results.csv', to_csv(tables))
    write_atomic(out / 'results.md', to_markdown(tables, notes))
    write_atomic(out / 'index.html', page)
    if model_index is not None:
        write_model_index(runs, out, model_index)
    return Collected(tables, out / 'index.html', unreadable, problems, notes)


def write_progress(record: Record, work_dir: Path, progress: str) -> None:
    """Write the page of an unfinished run, which a browser loads again until it has finished.

    Args:
        record: of the run up to now.
        work_dir: of the run; the page is that of :func:`collect`.
        progress: how far it is.
    """
    runs = [RecordedRun(_printable(record), work_dir)]
    page = render_page(visible(work_dir.resolve().name), runs, [], [], [], progress)
    write_atomic(work_dir / 'report' / 'index.html', page)


def _printable(record: Record) -> Record:
    """Return a record whose names can be shown; the paths of its files stay as they are."""
    names = ('run', 'method', 'arch', 'dataset', 'config', 'backbone', 'parent')
    machine = record.hardware
    gpu, cpu = (text and visible(text) for text in (machine.gpu, machine.cpu))
    return record.model_copy(
        update={name: text and visible(text) for name in names for text in [getattr(record, name)]}
        | {
            'hardware': machine.model_copy(update={'gpu': gpu, 'cpu': cpu}),
            'findings': list(map(visible, record.findings)),
            'versions': {visible(key): visible(value) for key, value in record.versions.items()},
        }
    )
