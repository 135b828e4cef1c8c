#!/usr/bin/env python3
"""Loader workers that die or hang: are they noticed, named, and can the run resume?

    python tests/faults/workers.py --times 3

In a pre-training, and in what only reads: a validation, a test, the encoding for k-NN.
"""

import time
from contextlib import suppress
from pathlib import Path

import outcomes
import psutil
import runs
from injections import config_lines

TIMEOUT = 5
LIMIT = f'default_hooks = dict(loader=dict(timeout={TIMEOUT}))\n'
# A run without a fault may wait longer on a busy machine.
PATIENT = ['--cfg-options', 'default_hooks.loader.timeout=600']
TROUBLE = dict(DIE_AT='an image kills its loader worker', HANG_AT='a loader worker hangs')


def kills(run: runs.Injection, config: Path, whole: Path) -> None:
    """``kill -9`` of a worker of a pre-training at a random moment."""
    survived, idle, seconds = 0, 0, []
    for number in range(run.args.times):
        work_dir, log = run.folder / f'killed_{number}', run.folder / f'killed_{number}.log'
        process = runs.start([config, '--work-dir', work_dir], log)
        runs.wait_for(lambda d=work_dir: runs.has_saved(d), process)
        time.sleep(run.dice.uniform(0, 0.3))
        found: list[psutil.Process] = []
        main = psutil.Process(process)
        runs.wait_for(lambda m=main, f=found: f.extend(m.children()) or f, process)
        with suppress(psutil.NoSuchProcess):  # the epoch has ended just now
            run.dice.choice(found).kill()
        begun = time.monotonic()
        code = runs.wait(process)
        ended = time.monotonic() - begun
        lines = runs.errors(log)
        runs.must([config, '--work-dir', work_dir, '--resume', *PATIENT], log)
        if code == 0:  # one that has given all of its batches is not missed
            idle += 1
            good = not lines
        else:
            seconds.append(ended)
            good = code == 1 and len(lines) == 1 and 'worker' in lines[0]
        survived += good and not outcomes.compare(whole, work_dir)
    outcome = f'ended within {max(seconds, default=0):.1f} s, one line, exit code 1; resumed, same'
    outcome += f' weights; {idle} had given all of their batches and were not missed'
    run.report('kill -9 of a loader worker', run.args.times, survived, outcome)


def troubles(
    run: runs.Injection, where: str, tool: str, command: list, images: str, same_as: Path | None
) -> None:
    """An image that kills its worker, and one that makes it hang; then the same without it.

    Args:
        run: of the script.
        where: in words.
        tool: command of ``tools/``, without ``.py``.
        command: its arguments.
        images: pattern of those that are read.
        same_as: folder of a run with the same weights, of a training.
    """
    found = sorted(run.data.glob(images))
    for variable, fault in TROUBLE.items():
        survived = 0
        for number in range(run.args.times):
            name = f'{where.split()[-1]}_{variable}_{number}'
            work_dir, log = run.folder / name, run.folder / f'{name}.log'
            image = run.dice.choice(found).name
            arguments = [*command, '--work-dir', work_dir]
            code = runs.wait(runs.start(arguments, log, {variable: image}, f'{tool}.py'))
            lines = runs.errors(log)
            again = ['--resume'] if same_as else []
            runs.must([*arguments, *again, *PATIENT], log, tool=f'{tool}.py')
            good = code == 1 and len(lines) == 1 and image in lines[0]
            survived += good and not (same_as and outcomes.compare(same_as, work_dir))
        outcome = f'named with its image, a hang after {TIMEOUT} s, exit code 1; then right'
        run.report(f'{fault}, {where}', run.args.times, survived, outcome)


def inject(run: runs.Injection) -> None:
    from symmim_mm.checkpoint.read import checkpoint_files

    def config_of(task: str, loader: str) -> Path:
        lines = config_lines("dict(type='Trouble')", loader)
        folder = run.folder / task / loader
        folder.mkdir(parents=True)
        lines += f'{loader}.update(num_workers=2)\n{LIMIT}'
        return runs.write_config(folder, task, run.data, lines)

    pretraining = config_of('pretrain', 'train_dataloader')
    finetuning = config_of('finetune', 'val_dataloader')
    pretrained, finetuned = run.folder / 'pretrained', run.folder / 'finetuned'
    for config, work_dir in ((pretraining, pretrained), (finetuning, finetuned)):
        runs.must([config, '--work-dir', work_dir, *PATIENT], work_dir.with_suffix('.log'))
    kills(run, pretraining, pretrained)
    train, val = 'imagenet/train/*/*.png', 'imagenet/val/*/*.png'
    troubles(run, 'in a pre-training', 'train', [pretraining], train, pretrained)
    troubles(run, 'in a validation', 'train', [finetuning], val, finetuned)
    test = [config_of('finetune', 'test_dataloader'), checkpoint_files(finetuned)[-1]]
    troubles(run, 'in test.py', 'test', test, val, None)
    backbone = ['--backbone', checkpoint_files(pretrained)[-1]]
    knn = [config_of('knn', 'train_dataloader'), *backbone, '--feature-cache', 'none']
    troubles(run, 'in knn.py', 'knn', knn, train, None)


if __name__ == '__main__':
    runs.script(__doc__, inject)
