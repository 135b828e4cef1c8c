#!/usr/bin/env python3
"""The newest checkpoint is damaged: is it named, and is the one before it used?

python tests/faults/damaged.py
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import outcomes
import runs


def cut(path: Path) -> None:
    """Half of the file is missing."""
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    """No byte is left."""
    os.truncate(path, 0)


def flip(path: Path) -> None:
    """One bit in the middle is another one."""
    with open(path, 'r+b') as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


DAMAGES = dict(cut_in_half=cut, emptied=empty, one_bit_flipped=flip)


def killed_run(config: Path, work_dir: Path, log: Path) -> list[Path]:
    """A run that was killed with two checkpoints, and the two."""
    from symmim_mm.checkpoint.read import checkpoint_files

    process = runs.start([config, '--work-dir', work_dir], log)
    runs.wait_for(lambda: (work_dir / 'epoch_3.pth').exists(), process)
    runs.kill(process)
    files = checkpoint_files(work_dir)
    if len(files) < 2:
        raise SystemExit(f'{work_dir} has {len(files)} checkpoints, which is too few')
    return files


def newest(
    config: Path, work_dir: Path, log: Path, whole: Path, damage: Callable[[Path], None]
) -> bool:
    """Whether a run names the damaged newest checkpoint and goes on from the one before."""
    before, broken = killed_run(config, work_dir, log)[-2:]
    damage(broken)
    runs.must([config, '--work-dir', work_dir, '--resume'], log)
    told = log.read_text(errors='replace')
    named = f'not resuming from the newest checkpoint: checkpoint {broken}' in told
    used = f'Load checkpoint from {before}' in told
    return named and used and not outcomes.compare(whole, work_dir)


def all_of_them(config: Path, work_dir: Path, log: Path) -> bool:
    """Whether a run without a whole checkpoint refuses and leaves the files as they are."""
    files = killed_run(config, work_dir, log)
    for path in files:
        cut(path)
    left = [path.read_bytes() for path in files]
    runs.must([config, '--work-dir', work_dir, '--resume'], log, code=2)
    told = runs.errors(log)
    good = len(told) == 1 and 'checkpoints in' in told[0]
    return good and [path.read_bytes() for path in files] == left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--keep', type=Path, help='work in this folder and leave it')
    args = parser.parse_args()
    runs.preload()
    report = runs.Report()
    with runs.workplace(args.keep, 'damaged') as folder:
        data = runs.sample_data(folder)
        config = runs.write_config(folder, 'pretrain', data)
        whole = folder / 'whole'
        runs.must([config, '--work-dir', whole], folder / 'whole.log')
        for name, damage in DAMAGES.items():
            good = newest(config, folder / name, folder / f'{name}.log', whole, damage)
            what = 'named, the one before it used; same weights'
            report.line(f'newest checkpoint {name.replace("_", " ")}', 1, int(good), what)
        good = all_of_them(config, folder / 'all', folder / 'all.log')
        what = 'one line, exit code 2, files kept'
        report.line('every checkpoint cut in half', 1, int(good), what)
    report.end()


if __name__ == '__main__':
    main()
