#!/usr/bin/env python3
"""The newest checkpoint is damaged: is it named, and is the one before it used?

python tests/faults/damaged.py
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import outcomes
import runs


def cut(path: Path) -> None:
    """Remove half of the file."""
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    with open(path, 'r+b') as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


DAMAGES: dict[str, Callable[[Path], None]] = {
    'cut in half': cut,
    'emptied': lambda path: os.truncate(path, 0),
    'one bit flipped': flip,
}


def killed_run(config: Path, work_dir: Path, log: Path) -> list[Path]:
    """Kill a run that has two checkpoints, and return the two."""
    from symmim_mm.checkpoint.read import checkpoint_files

    process = runs.start([config, '--work-dir', work_dir], log)
    runs.wait_for((work_dir / 'epoch_3.pth').exists, process)
    runs.kill(process)
    files = checkpoint_files(work_dir)
    if len(files) < 2:
        raise SystemExit(f'{work_dir} has {len(files)} checkpoints, which is too few')
    return files


def inject(run: runs.Injection) -> None:
    config = runs.write_config(run.folder, 'pretrain', run.data, runs.WITHOUT_WORKERS)
    whole, killed = run.folder / 'whole', run.folder / 'killed'
    runs.must([config, '--work-dir', whole], run.folder / 'whole.log')
    names = [path.name for path in killed_run(config, killed, run.folder / 'killed.log')]
    for name, damage in DAMAGES.items():
        work_dir = run.folder / name.replace(' ', '_')
        log = work_dir.with_suffix('.log')
        shutil.copytree(killed, work_dir)
        before, broken = (work_dir / name for name in names[-2:])
        damage(broken)
        runs.must([config, '--work-dir', work_dir, '--resume'], log)
        text = log.read_text(errors='replace')
        good = f'not resuming from the newest checkpoint: checkpoint {broken}' in text
        good = good and f'Load checkpoint from {before}' in text
        good = good and not outcomes.compare(whole, work_dir)
        outcome = 'named, the one before it used; same weights'
        run.report(f'newest checkpoint {name}', 1, int(good), outcome)

    log, files = run.folder / 'all.log', [killed / name for name in names]
    for path in files:
        cut(path)
    left = [path.read_bytes() for path in files]
    runs.must([config, '--work-dir', killed, '--resume'], log, code=2)
    lines = runs.errors(log)
    good = len(lines) == 1 and 'checkpoints in' in lines[0]
    good = good and [path.read_bytes() for path in files] == left
    run.report('every checkpoint cut in half', 1, int(good), 'one line, exit code 2, files kept')


if __name__ == '__main__':
    runs.script(__doc__, inject)
