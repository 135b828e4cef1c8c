#!/usr/bin/env python3
"""A disk that fills up, or a folder that takes no file, while checkpoints are written.

    python tests/faults/disk.py

As root the runs work on a small file system in memory, which is filled for real, and in a folder
made immutable. Otherwise the size of files is limited, and the folder's permission withdrawn.
"""

import argparse
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import outcomes
import runs

MIB = 1 << 20


@contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """Mount a file system of 24 MiB; whether that was possible."""
    place.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', str(place)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(['umount', '-l', str(place)], check=True)


def fill(place: Path) -> Path:
    """Write a file until the disk is full."""
    filler = place / 'filler'
    with open(filler, 'wb', buffering=0) as file, suppress(OSError):
        while file.write(bytes(MIB)):
            pass
    with open(filler, 'ab', buffering=0) as file, suppress(OSError):
        while file.write(bytes(512)):
            pass
    return filler


def complaints(log: Path) -> int:
    return log.read_text(errors='replace').count('could not be written')


def disk_full(folder: Path, config: Path, whole: Path, report: runs.Report) -> None:
    with small_disk(folder / 'disk') as mounted:
        if not mounted:
            return
        # Full for a while: one or more checkpoints are missed, the run ends as if nothing was.
        work_dir, log = folder / 'disk' / 'while', folder / 'while.log'
        process = runs.start([config, '--work-dir', work_dir], log)
        runs.wait_for(lambda: (work_dir / 'last_checkpoint').exists(), process)
        filler = fill(folder / 'disk')
        runs.wait_for(lambda: complaints(log), process)
        runs.wait_for(lambda: outcomes.is_clean(work_dir), process)
        filler.unlink()
        good = runs.wait(process) == 0 and not outcomes.compare(whole, work_dir)
        missed = complaints(log)
        what = f'{missed} checkpoint(s) missed and told, older intact, no half file, same weights'
        report.line('disk full for a while', 1, int(good), what)
        subprocess.run(['rm', '-r', str(work_dir)], check=True)

        # Full to the end: the last checkpoint cannot be missed.
        work_dir, log = folder / 'disk' / 'end', folder / 'end.log'
        process = runs.start([config, '--work-dir', work_dir], log)
        runs.wait_for(lambda: (work_dir / 'last_checkpoint').exists(), process)
        filler = fill(folder / 'disk')
        code = runs.wait(process)
        told = runs.errors(log)
        good = code == 1 and len(told) == 1 and 'No space left' in told[0]
        good = good and outcomes.is_clean(work_dir)
        filler.unlink()
        runs.must([config, '--work-dir', work_dir, '--resume'], log)
        good = good and not outcomes.compare(whole, work_dir)
        what = 'one line and exit code 1 at the last checkpoint; with room, resumed to same weights'
        report.line('disk full to the end', 1, int(good), what)


def limited(folder: Path, config: Path, whole: Path, report: runs.Report) -> None:
    """Files may not grow beyond half a checkpoint (RLIMIT_FSIZE), which any user can set."""
    work_dir, log = folder / 'limited', folder / 'limited.log'
    process = runs.start([config, '--work-dir', work_dir], log)
    runs.wait_for(lambda: (work_dir / 'last_checkpoint').exists(), process)
    half = next(work_dir.glob('*.pth')).stat().st_size // 2
    resource.prlimit(process, resource.RLIMIT_FSIZE, (half, half))
    code = runs.wait(process)
    told = runs.errors(log)
    good = code == 1 and len(told) == 1 and 'File too large' in told[0]
    good = good and outcomes.is_clean(work_dir)
    missed = complaints(log) - 1
    runs.must([config, '--work-dir', work_dir, '--resume'], log)
    good = good and not outcomes.compare(whole, work_dir)
    what = f'{missed} checkpoint(s) missed, one line at the last; resumed, same weights'
    report.line('files may not grow (quota)', 1, int(good), what)


def locked(folder: Path, config: Path, whole: Path, report: runs.Report) -> None:
    work_dir, log = folder / 'locked', folder / 'locked.log'
    lock, unlock = _locks(work_dir)
    process = runs.start([config, '--work-dir', work_dir], log)
    runs.wait_for(lambda: (work_dir / 'last_checkpoint').exists(), process)
    lock()
    try:
        runs.wait_for(lambda: complaints(log), process)
        runs.wait_for(lambda: outcomes.is_clean(work_dir), process)
    finally:
        unlock()
    good = runs.wait(process) == 0 and not outcomes.compare(whole, work_dir)
    what = f'{complaints(log)} checkpoint(s) missed and told, older intact, same weights'
    report.line('folder not writable for a while', 1, int(good), what)


def _locks(place: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    """Functions that forbid and allow new files in a folder, for root as well."""
    if os.geteuid() == 0:
        return (
            lambda: subprocess.run(['chattr', '+i', str(place)], check=True),
            lambda: subprocess.run(['chattr', '-i', str(place)], check=True),
        )
    return lambda: place.chmod(0o555), lambda: place.chmod(0o755)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--keep', type=Path, help='work in this folder and leave it')
    args = parser.parse_args()
    runs.preload()
    report = runs.Report()
    with runs.workplace(args.keep, 'disk') as folder:
        data = runs.sample_data(folder)
        # Long enough that no run ends before its fault, whatever holds this script up.
        config = runs.write_config(folder, 'pretrain', data, 'recipe = dict(epochs=15)')
        whole = folder / 'whole'
        runs.must([config, '--work-dir', whole], folder / 'whole.log')
        disk_full(folder, config, whole, report)
        limited(folder, config, whole, report)
        locked(folder, config, whole, report)
    report.end()


if __name__ == '__main__':
    main()
