#!/usr/bin/env python3
"""Images that make the loss not finite: what happens to a pre-training that draws them?

python tests/faults/not_finite.py
"""

from pathlib import Path

import outcomes
import runs
from injections import config_lines


def weights_are_finite(work_dir: Path) -> bool:
    state = outcomes.last_checkpoint(work_dir)['state_dict']
    return all(value.isfinite().all() for value in state.values() if value.is_floating_point())


def inject(run: runs.Injection) -> None:
    bad = sorted(run.data.glob('imagenet/train/*/*.png'))[5].name
    log, work_dir = run.folder / 'one.log', run.folder / 'one'
    lines = config_lines(f"dict(type='Poison', name='{bad}')")
    config = runs.write_config(run.folder, 'pretrain', run.data, lines)
    runs.must([config, '--work-dir', work_dir], log)
    listed = (work_dir / 'not_finite_rank0.txt').read_text().splitlines()
    good = bad in listed[0] and weights_are_finite(work_dir) and len(listed) <= 5
    outcome = f'{len(listed)} of 35 steps skipped, images listed, run finished, weights finite'
    run.report('one image that is not finite', 1, int(good), outcome)

    # Good until epoch 2, then every image is bad: the checkpoints must stay as they were.
    log, work_dir = run.folder / 'all.log', run.folder / 'all'
    lines = config_lines("dict(type='Poison', name='none')") + 'recipe = dict(epochs=2)\n'
    config = runs.write_config(run.folder, 'pretrain', run.data, lines)
    runs.must([config, '--work-dir', work_dir], log)
    before = (work_dir / 'epoch_2.pth').read_bytes()
    lines = config_lines("dict(type='Poison', name='')") + 'recipe = dict(epochs=9)\n'
    lines += 'default_hooks = dict(not_finite=dict(most_in_a_row=5))\n'
    config = runs.write_config(run.folder, 'pretrain', run.data, lines)
    runs.must([config, '--work-dir', work_dir, '--resume'], log, code=2)
    found = runs.errors(log)
    good = len(found) == 1 and '5 times in a row' in found[0] and '.png' in found[0]
    good = good and (work_dir / 'epoch_2.pth').read_bytes() == before
    good = good and outcomes.is_clean(work_dir)
    outcome = 'stopped after 5 steps with one line that names images, checkpoints unchanged'
    run.report('every image is not finite', 1, int(good), outcome)


if __name__ == '__main__':
    runs.script(__doc__, inject)
