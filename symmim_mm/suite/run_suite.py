"""A suite from its file to its report page: what ``tools/run_suite.py`` does."""

import shlex
import sys
from pathlib import Path

from symmim_mm.results.collect import collect, show
from symmim_mm.results.record import find_records
from symmim_mm.suite.finished import backbone_of, data_finished, pending
from symmim_mm.suite.graph import DATA, Run, Suite, command, load_suite, shown
from symmim_mm.suite.snakemake import default_jobs, launch, locked
from symmim_mm.utils.errors import UserError

SLURM_JOBS = 100


def run_suite(
    path: str | Path,
    root: str | Path,
    work_dir: str | Path | None = None,
    *,
    jobs: int | None = None,
    dry_run: bool = False,
    slurm: bool = False,
    tools_dir: str = 'tools',
    size: str | None = None,
) -> int:
    """Make what is not finished of a suite, then its table and page; returns the exit code.

    ``tools_dir`` and ``size`` are those of ``load_suite``. The exit code is 0
    when every run is finished and 1 otherwise; a user's mistake raises ``UserError``.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f'--jobs must be 1 or more, got {jobs}')
    suite = load_suite(path, root, work_dir, tools_dir, size)
    if dry_run:
        _list(suite, pending(suite))
        return 0
    with locked(suite) as owner:
        runs = pending(suite)
        states: dict[str, dict] = {}
        finished = len(suite.runs) - len(runs)
        if runs or not data_finished(suite):
            print(
                f'{suite.name}: {len(runs)} of {len(suite.runs)} runs to make, {finished} '
                f'finished, in {shown(suite.work_dir, suite.root)}',
                flush=True,
            )
            # Without Slurm every training on GPUs takes those of this machine for itself.
            jobs = jobs or (SLURM_JOBS if slurm else 1 if suite.gpus else default_jobs())
            states = launch(suite, runs, jobs, owner, slurm)
        else:
            print(f'{suite.name}: all {len(suite.runs)} runs are finished', flush=True)
        left = pending(suite) if runs else []
        if find_records([suite.work_dir]):
            show(collect([suite.work_dir], suite.work_dir / 'report'))
    return _failures(suite, left, states)


def _list(suite: Suite, runs: list[Run]) -> None:
    make_data = not data_finished(suite)
    total = len(runs) + make_data
    lines = [(DATA, [sys.executable, *suite.generator])] if make_data else []
    names = {run.name for run in runs}
    for run in runs:
        if run.parent in names:
            backbone = f'<checkpoint of {run.parent}>'
        else:
            found = backbone_of(run)
            backbone = str(found[0]) if found else None
        lines.append((run.name, command(run, suite.root, backbone)))
    for number, (name, words) in enumerate(lines, 1):
        print(f'[{number}/{total}] {name}: {shlex.join(words)}')
    print(f'{total} to run, {len(suite.runs) - len(runs)} finished')


def _failures(suite: Suite, left: list[Run], states: dict[str, dict]) -> int:
    """One line on stderr for every run that is not finished; the exit code."""
    failed = {name: state for name, state in states.items() if state['state'] == 'failed'}
    for name, state in failed.items():
        log = shown(state['log'], suite.root)
        print(f'failed: {name}: {state["error"]} (log: {log})', file=sys.stderr)
    for run in left:
        if run.name in failed:
            continue
        cause = next((name for name in (run.parent, DATA) if name in failed), None)
        why = f'{cause} failed' if cause else 'its job was lost'
        print(f'not run: {run.name}: {why}', file=sys.stderr)
    return 1 if failed or left else 0
