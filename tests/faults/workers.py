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
from pathlib import Path

import runs
from injections import config_lines

TIMEOUT = 5
LIMIT = f'default_hooks = dict(loader=dict(timeout={TIMEOUT}))\n'
TROUBLE = dict(DIE_AT='a picture kills a loader worker', HANG_AT='a loader worker hangs')


def workers_of(process: int) -> list[int]:
    """Child processes of a run."""
    tasks = Path(f'/proc/{process}/task').glob('*/children')
    return [int(word) for task in tasks for word in task.read_text().split()]


def evaluations(
    folder: Path, data: Path, pretrained: Path, report: runs.Report, times: int,
    dice: random.Random,
) -> None:  # fmt: skip
    """The same where nothing is trained: named, and right when it is called again."""
    from symmim_mm.checkpoints import checkpoint_files

    def config_of(task: str, loader: str) -> Path:
        lines = config_lines("dict(type='Trouble')", loader)
        lines += f'{loader}.update(num_workers=2)\n{LIMIT}'
        (folder / loader).mkdir()
        return runs.write_config(folder / loader, task, data, lines)

    whole = folder / 'finetune_whole'
    training = config_of('finetune', 'val_dataloader')
    runs.must([training, '--work-dir', whole], folder / 'finetune_whole.log')
    test = [config_of('finetune', 'test_dataloader'), checkpoint_files(whole)[-1]]
    knn = [config_of('knn', 'train_dataloader'), '--backbone', checkpoint_files(pretrained)[-1]]
    for where, tool, command, split in (
        ('a validation', 'train', [training], 'val'),
        ('`tools/test.py`', 'test', test, 'val'),
        ('`tools/knn.py`', 'knn', knn, 'train'),
    ):
        pictures = sorted(data.glob(f'imagenet/{split}/*/*.png'))
        for variable, fault in TROUBLE.items():
            survived = 0
            for time_ in range(times):
                work_dir = folder / f'{tool}_{variable}_{time_}'
                log = work_dir.with_suffix('.log')
                picture = dice.choice(pictures).name
                arguments = [*command, '--work-dir', work_dir]
                code = runs.wait(runs.start(arguments, log, {variable: picture}, f'{tool}.py'))
                told = runs.errors(log)
                again = ['--resume'] if tool == 'train' else []
                runs.must([*arguments, *again], log, tool=f'{tool}.py')
                good = code == 1 and len(told) == 1 and picture in told[0]
                if tool == 'train':
                    good = good and not runs.compare(whole, work_dir)
                survived += good
            what = 'named with its picture, exit code 1; right when called again'
            report.line(f'{fault}, {where}', times, survived, what)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--times', type=int, default=3)
    parser.add_argument('--seed', type=int, default=0, help='of the dice')
    parser.add_argument('--keep', type=Path, help='work in this folder and leave it')
    args = parser.parse_args()
    runs.preload()
    report = runs.Report()
    dice = random.Random(args.seed)
    with runs.workplace(args.keep, 'workers') as folder:
        data = runs.sample_data(folder)
        lines = config_lines("dict(type='Trouble')")
        config = runs.write_config(folder, 'pretrain', data, lines + LIMIT)
        whole = folder / 'whole'
        runs.must([config, '--work-dir', whole], folder / 'whole.log')

        survived, seconds = 0, []
        for time_ in range(args.times):
            work_dir, log = folder / f'dies_{time_}', folder / f'dies_{time_}.log'
            process = runs.start([config, '--work-dir', work_dir], log)
            runs.wait_for(lambda d=work_dir: (d / 'last_checkpoint').exists(), process)
            time.sleep(dice.uniform(0, 0.3))
            runs.wait_for(lambda p=process: workers_of(p), process)
            os.kill(dice.choice(workers_of(process)), signal.SIGKILL)
            begun = time.monotonic()
            code = runs.wait(process)
            seconds.append(time.monotonic() - begun)
            told = runs.errors(log)
            runs.must([config, '--work-dir', work_dir, '--resume'], log)
            good = code == 1 and len(told) == 1 and 'worker' in told[0]
            survived += good and not runs.compare(whole, work_dir)
        what = f'ended within {max(seconds):.1f} s, one line, exit code 1; resumed, same weights'
        report.line('kill -9 of a loader worker', args.times, survived, what)

        survived, seconds = 0, []
        pictures = sorted(data.glob('imagenet/train/*/*.png'))
        for time_ in range(args.times):
            work_dir, log = folder / f'hangs_{time_}', folder / f'hangs_{time_}.log'
            picture = dice.choice(pictures).name
            begun = time.monotonic()
            code = runs.wait(
                runs.start([config, '--work-dir', work_dir], log, dict(HANG_AT=picture))
            )
            seconds.append(time.monotonic() - begun)
            told = runs.errors(log)
            runs.must([config, '--work-dir', work_dir, '--resume'], log)
            good = code == 1 and len(told) == 1 and picture in told[0]
            survived += good and not runs.compare(whole, work_dir)
        what = f'named with its pictures after {TIMEOUT} s, exit code 1; resumed, same weights'
        report.line('a loader worker hangs', args.times, survived, what)
        evaluations(folder, data, whole, report, args.times, dice)
    report.end()


if __name__ == '__main__':
    main()
