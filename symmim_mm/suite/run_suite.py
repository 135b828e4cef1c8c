"""A suite from its file to its report page."""

import shlex
import sys
from pathlib import Path

from symmim_mm.results.collect import collect
from symmim_mm.results.record import find_records
from symmim_mm.suite.file import DATA, Run, Suite, load_suite
from symmim_mm.suite.finished import backbone_of, data_finished, pending
from symmim_mm.suite.launch import launch, locked
from symmim_mm.suite.steps import DataStep, RunStep, Step
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.host import available_cores
from symmim_mm.utils.warm_start import PROGRAM

SLURM_JOBS = 100


def run_suite(
    path: str | Path,
    work_dir: str | Path | None = None,
    *,
    root: str | Path = '.',
    jobs: int | None = None,
    dry_run: bool = False,
    slurm: bool = False,
    size: str | None = None,
    program: tuple[str, ...] = PROGRAM,
) -> int:
    """Make the runs of a suite that are not finished, then its table and page.

    Args:
        path: the suite file.
        work_dir: where the runs go.
        root: as ``size`` and ``program`` an argument of :func:`load_suite`.
        jobs: runs at a time; by default one for each core, one where a run has GPUs.
        dry_run: only print the commands.
        slurm: make every run a job of Slurm.
        size: value of ``{size}`` in the file.
        program: start of the command lines.

    Returns:
        Exit code: 0 when every run is finished, 1 otherwise.

    Raises:
        UserError: a mistake in the file or the arguments, or another suite in ``work_dir``.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f'--jobs must be 1 or more, got {jobs}')
    suite = load_suite(path, work_dir, root=root, size=size, program=program)
    if dry_run:
        _list(suite, pending(suite))
        return 0
    with locked(suite) as lock:
        runs = pending(suite)
        steps: list[Step] = [RunStep(suite, run) for run in runs]
        if not data_finished(suite):
            steps.insert(0, DataStep(suite))
        total = len(suite.runs)
        failed: dict[str, str] = {}
        if steps:
            print(
                f'{suite.name}: {len(runs)} of {total} runs to make, {total - len(runs)} finished, '
                f'in {suite.relative(suite.work_dir)}',
                flush=True,
            )
            # Without Slurm every training on GPUs has those of this machine for itself.
            jobs = jobs or (SLURM_JOBS if slurm else 1 if suite.gpus else available_cores())
            failed = launch(suite, steps, jobs, lock, slurm)
        else:
            print(f'{suite.name}: all {total} runs are finished', flush=True)
        left = pending(suite) if steps else []
        if find_records([suite.work_dir]):
            collect([suite.work_dir], suite.work_dir / 'report').show()
    logs = {step.name: suite.relative(step.log) for step in steps}
    for name, error in failed.items():
        print(f'failed: {name}: {error} (log: {logs[name]})', file=sys.stderr)
    for run in left:
        if run.name not in failed:
            cause = run.parent.name if run.parent and DATA not in failed else DATA
            print(f'not run: {run.name}: {cause} failed', file=sys.stderr)
    return 1 if failed or left else 0


def _list(suite: Suite, runs: list[Run]) -> None:
    """Print the commands that would run."""
    lines = [] if data_finished(suite) else [(DATA, suite.data_command())]
    for run in runs:
        waits = run.parent in runs
        backbone = f'<checkpoint of {run.parent.name}>' if waits else backbone_of(run)[0]
        lines.append((run.name, suite.command(run, backbone)))
    for number, (name, words) in enumerate(lines, 1):
        print(f'[{number}/{len(lines)}] {name}: {shlex.join(words)}')
    print(f'{len(lines)} to run, {len(suite.runs) - len(runs)} finished')
