#!/usr/bin/env python3
"""Loader workers that die or hang: are they noticed, named, and can the run go on?

    python tests/faults/workers.py --times 3

In a pre-training, and in what only reads: a validation, a test, the encoding for k-NN.
"""

import argparse
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import outcomes
import runs
from injections import config_lines

TIMEOUT = 5
LIMIT = f'default_hooks = dict(loader=dict(timeout={TIMEOUT}))\n'
# A run without a fault may wait longer on a busy machine.
PATIENT = ['--cfg-options', 'default_hooks.loader.timeout=600']
TROUBLE = dict(DIE_AT='a picture kills its loader worker', HANG_AT='a loader worker hangs')


def workers_of(process: int) -> list[int]:
    """Child processes of a run."""
    found = []
    for children in Path(f'/proc/{process}/task').glob('*/children'):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
            found += [int(word) for word in children.read_text().split()]
    return found


class Trials(NamedTuple):
    """What all faults share; ``whole`` is the folder of a pre-training that met none."""

    folder: Path
    data: Path
    config: Path
    whole: Path
    report: runs.Report
    times: int
    dice: random.Random


def kills(trials: Trials) -> None:
    """``kill -9`` of a worker of a pre-training at a random moment."""
    survived, idle, seconds = 0, 0, []
    for time_ in range(trials.times):
        work_dir, log = trials.folder / f'dies_{time_}', trials.folder / f'dies_{time_}.log'
        process = runs.start([trials.config, '--work-dir', work_dir], log)
        runs.wait_for(lambda d=work_dir: (d / 'last_checkpoint').exists(), process)
        time.sleep(trials.dice.uniform(0, 0.3))
        found: list[int] = []
        runs.wait_for(lambda p=process, f=found: f.extend(workers_of(p)) or f, process)
        with suppress(ProcessLookupError):  # the epoch has ended just now
            os.kill(trials.dice.choice(found), signal.SIGKILL)
        begun = time.monotonic()
        code = runs.wait(process)
        ended = time.monotonic() - begun
        told = runs.errors(log)
        runs.must([trials.config, '--work-dir', work_dir, '--resume', *PATIENT], log)
        if code == 0:  # one that has given all of its batches is not missed
            idle += 1
            good = not told
        else:
            seconds.append(ended)
            good = code == 1 and len(told) == 1 and 'worker' in told[0]
        survived += good and not outcomes.compare(trials.whole, work_dir)
    what = f'ended within {max(seconds, default=0):.1f} s, one line, exit code 1; resumed, same'
    what += f' weights; {idle} had given all of their batches and were not missed'
    trials.report.line('kill -9 of a loader worker', trials.times, survived, what)


def troubles(
    trials: Trials, where: str, tool: str, command: list, pictures: str, same_as: Path | None
) -> None:
    """A picture that kills its worker, and one that makes it hang; then the same without it.

    Args:
        where: in words.
        tool: command of ``tools/``, without ``.py``.
        command: its arguments.
        pictures: pattern of those that are read.
        same_as: folder of a run with the same weights, of a training.
    """
    found = sorted(trials.data.glob(pictures))
    for variable, fault in TROUBLE.items():
        survived = 0
        for time_ in range(trials.times):
            name = f'{where.split()[-1]}_{variable}_{time_}'
            work_dir, log = trials.folder / name, trials.folder / f'{name}.log'
            picture = trials.dice.choice(found).name
            arguments = [*command, '--work-dir', work_dir]
            code = runs.wait(runs.start(arguments, log, {variable: picture}, f'{tool}.py'))
            told = runs.errors(log)
            again = ['--resume'] if same_as else []
            runs.must([*arguments, *again, *PATIENT], log, tool=f'{tool}.py')
            good = code == 1 and len(told) == 1 and picture in told[0]
            survived += good and not (same_as and outcomes.compare(same_as, work_dir))
        what = f'named with its picture, a hang after {TIMEOUT} s, exit code 1; then right'
        trials.report.line(f'{fault}, {where}', trials.times, survived, what)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--times', type=int, default=3)
    parser.add_argument('--seed', type=int, default=0, help='of the dice')
    parser.add_argument('--keep', type=Path, help='work in this folder and leave it')
    args = parser.parse_args()
    runs.preload()
    from symmim_mm.checkpoint.read import checkpoint_files

    with runs.workplace(args.keep, 'workers') as folder:
        data = runs.sample_data(folder)

        def config_of(task: str, loader: str) -> Path:
            lines = config_lines("dict(type='Trouble')", loader)
            (folder / task / loader).mkdir(parents=True)
            lines += f'{loader}.update(num_workers=2)\n{LIMIT}'
            return runs.write_config(folder / task / loader, task, data, lines)

        pretraining = config_of('pretrain', 'train_dataloader')
        finetuning = config_of('finetune', 'val_dataloader')
        pretrained, finetuned = folder / 'pretrained', folder / 'finetuned'
        runs.must([pretraining, '--work-dir', pretrained, *PATIENT], folder / 'pretrained.log')
        runs.must([finetuning, '--work-dir', finetuned, *PATIENT], folder / 'finetuned.log')
        report, dice = runs.Report(), random.Random(args.seed)
        trials = Trials(folder, data, pretraining, pretrained, report, args.times, dice)
        kills(trials)
        train, val = 'imagenet/train/*/*.png', 'imagenet/val/*/*.png'
        troubles(trials, 'in a pre-training', 'train', [pretraining], train, pretrained)
        troubles(trials, 'in a validation', 'train', [finetuning], val, finetuned)
        test = [config_of('finetune', 'test_dataloader'), checkpoint_files(finetuned)[-1]]
        troubles(trials, 'in test.py', 'test', test, val, None)
        backbone = ['--backbone', checkpoint_files(pretrained)[-1]]
        knn = [config_of('knn', 'train_dataloader'), *backbone]
        troubles(trials, 'in knn.py', 'knn', knn, train, None)
    report.end()


if __name__ == '__main__':
    main()
