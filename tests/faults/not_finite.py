#!/usr/bin/env python3
"""Pictures that make the loss not finite: what becomes of a pre-training that meets them?

python tests/faults/not_finite.py
"""

import argparse
from pathlib import Path

import outcomes
import runs
from injections import config_lines


def weights_are_finite(work_dir: Path) -> bool:
    state = outcomes.last_checkpoint(work_dir)['state_dict']
    return all(value.isfinite().all() for value in state.values() if value.is_floating_point())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--keep', type=Path, help='work in this folder and leave it')
    args = parser.parse_args()
    runs.preload()
    report = runs.Report()
    with runs.workplace(args.keep, 'not_finite') as folder:
        data = runs.sample_data(folder)
        bad = sorted(data.glob('imagenet/train/*/*.png'))[5].name

        log, work_dir = folder / 'one.log', folder / 'one'
        lines = config_lines(f"dict(type='Poison', name='{bad}')")
        config = runs.write_config(folder, 'pretrain', data, lines)
        runs.must([config, '--work-dir', work_dir], log)
        listed = (work_dir / 'not_finite_rank0.txt').read_text().splitlines()
        good = bad in listed[0] and weights_are_finite(work_dir) and len(listed) <= 5
        what = f'{len(listed)} of 35 steps skipped, pictures listed, run finished, weights finite'
        report.line('one picture that is not finite', 1, int(good), what)

        # Good until epoch 2, then every picture is bad: what was saved must stay as it was.
        log, work_dir = folder / 'all.log', folder / 'all'
        lines = config_lines("dict(type='Poison', name='none')") + 'recipe = dict(epochs=2)\n'
        config = runs.write_config(folder, 'pretrain', data, lines)
        runs.must([config, '--work-dir', work_dir], log)
        before = (work_dir / 'epoch_2.pth').read_bytes()
        lines = config_lines("dict(type='Poison', name='')") + 'recipe = dict(epochs=9)\n'
        lines += 'default_hooks = dict(not_finite=dict(most_in_a_row=5))\n'
        config = runs.write_config(folder, 'pretrain', data, lines)
        runs.must([config, '--work-dir', work_dir, '--resume'], log, code=2)
        told = runs.errors(log)
        good = len(told) == 1 and '5 times in a row' in told[0] and '.png' in told[0]
        good = good and (work_dir / 'epoch_2.pth').read_bytes() == before
        good = good and outcomes.is_clean(work_dir)
        what = 'stopped after 5 steps with one line that names pictures, checkpoints as they were'
        report.line('every picture is not finite', 1, int(good), what)
        if not good:
            print(told)
    report.end()


if __name__ == '__main__':
    main()
