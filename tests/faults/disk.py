#!/usr/bin/env python3
"""A disk that fills up, or a folder that takes no file, while checkpoints are written.

    python tests/faults/disk.py

As root the runs work on a small file system in memory, which is filled for real, and in a folder
made immutable. Otherwise the size of files is limited, and the folder's permission withdrawn.
"""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import outcomes
import runs

MIB = 1 << 20


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a file system of 24 MiB; yields whether that was possible."""
    folder.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(['umount', '-l', str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file until the disk is full, and return it."""
    filler = folder / 'filler'
    for size in (MIB, 512):
        with open(filler, 'ab', buffering=0) as file, suppress(OSError):
            while file.write(bytes(size)):
                pass
    return filler


def complaints(log: Path) -> int:
    return log.read_text(errors='replace').count('could not be written')


def start(config: Path, work_dir: Path, log: Path) -> int:
    """Start a run and wait for its first checkpoint."""
    process = runs.start([config, '--work-dir', work_dir], log)
    runs.wait_for(lambda: runs.has_saved(work_dir), process)
    return process


def failed_at_the_end(process: int, work_dir: Path, log: Path, reason: str) -> bool:
    """Return whether a run ended with one line about its last checkpoint, and nothing half done."""
    code = runs.wait(process)
    lines = runs.errors(log)
    return code == 1 and len(lines) == 1 and reason in lines[0] and outcomes.is_clean(work_dir)


def resumed_like(whole: Path, config: Path, work_dir: Path, log: Path) -> bool:
    runs.must([config, '--work-dir', work_dir, '--resume'], log)
    return not outcomes.compare(whole, work_dir)


def full(run: runs.Injection, config: Path, whole: Path) -> None:
    """Fill the disk: for a while, so that checkpoints are missed; then to the end of a run."""
    with small_disk(run.folder / 'disk') as mounted:
        if not mounted:
            return
        work_dir, log = run.folder / 'disk' / 'while', run.folder / 'while.log'
        process = start(config, work_dir, log)
        filler = fill(run.folder / 'disk')
        runs.wait_for(lambda: complaints(log), process)
        runs.wait_for(lambda: outcomes.is_clean(work_dir), process)
        filler.unlink()
        good = runs.wait(process) == 0 and not outcomes.compare(whole, work_dir)
        outcome = f'{complaints(log)} checkpoint(s) missed and reported, older intact, no half '
        run.report('disk full for a while', 1, int(good), outcome + 'file, same weights')
        subprocess.run(['rm', '-r', str(work_dir)], check=True)

        work_dir, log = run.folder / 'disk' / 'end', run.folder / 'end.log'
        process = start(config, work_dir, log)
        filler = fill(run.folder / 'disk')
        good = failed_at_the_end(process, work_dir, log, 'No space left')
        filler.unlink()
        good = good and resumed_like(whole, config, work_dir, log)
        outcome = 'one line and exit code 1 at the last checkpoint; resumed, same weights'
        run.report('disk full to the end', 1, int(good), outcome)


def limited(run: runs.Injection, config: Path, whole: Path) -> None:
    """Limit files to half a checkpoint (RLIMIT_FSIZE), which any user can do."""
    work_dir, log = run.folder / 'limited', run.folder / 'limited.log'
    process = start(config, work_dir, log)
    half = next(work_dir.glob('*.pth')).stat().st_size // 2
    resource.prlimit(process, resource.RLIMIT_FSIZE, (half, half))
    good = failed_at_the_end(process, work_dir, log, 'File too large')
    missed = complaints(log) - 1
    good = good and resumed_like(whole, config, work_dir, log)
    outcome = f'{missed} checkpoint(s) missed, one line at the last; resumed, same weights'
    run.report('files may not grow (quota)', 1, int(good), outcome)


def forbid(folder: Path, forbidden: bool) -> None:
    """Forbid or allow new files in a folder, for root as well."""
    if os.geteuid() == 0:
        subprocess.run(['chattr', '+i' if forbidden else '-i', str(folder)], check=True)
    else:
        folder.chmod(0o555 if forbidden else 0o755)


def locked(run: runs.Injection, config: Path, whole: Path) -> None:
    work_dir, log = run.folder / 'locked', run.folder / 'locked.log'
    process = start(config, work_dir, log)
    forbid(work_dir, True)
    try:
        runs.wait_for(lambda: complaints(log), process)
        runs.wait_for(lambda: outcomes.is_clean(work_dir), process)
    finally:
        forbid(work_dir, False)
    good = runs.wait(process) == 0 and not outcomes.compare(whole, work_dir)
    outcome = f'{complaints(log)} checkpoint(s) missed and reported, older intact, same weights'
    run.report('folder not writable for a while', 1, int(good), outcome)


def inject(run: runs.Injection) -> None:
    # Long enough that no run ends before its fault, whatever delays this script.
    lines = f'{runs.WITHOUT_WORKERS}recipe = dict(epochs=15)'
    config = runs.write_config(run.folder, 'pretrain', run.data, lines)
    whole = run.folder / 'whole'
    runs.must([config, '--work-dir', whole], run.folder / 'whole.log')
    for fault in (full, limited, locked):
        fault(run, config, whole)


if __name__ == '__main__':
    runs.script(__doc__, inject)
