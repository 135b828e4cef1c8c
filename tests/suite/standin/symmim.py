"""Stand-in for ``symmim`` in tests of the suite's engine: sleeps, then leaves a record.

The config's ``standin`` dict controls it: ``sleep`` (seconds), ``fail`` (exit code).
"""

import argparse
import runpy
import sys
import time
from pathlib import Path

from make_runs import record

from symmim_mm.config.hash import sha256_of_config
from symmim_mm.results.record import parent_of
from symmim_mm.utils.files import file_sha256


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('command', choices=['train', 'knn'])
    parser.add_argument('config')
    parser.add_argument('--work-dir', type=Path, required=True)
    parser.add_argument('--backbone')
    parser.add_argument('--seed', type=int, required=True)
    parser.add_argument('--resume', action='store_true')
    args = parser.parse_args()
    content = runpy.run_path(args.config)  # MMEngine's import takes longer than all else
    config = {key: value for key, value in content.items() if not key.startswith('_')}
    run, standin = config['run'], config['standin']
    args.work_dir.mkdir(parents=True, exist_ok=True)
    with open(args.work_dir / 'calls.txt', 'a', encoding='utf-8') as file:
        file.write(f'resume={args.resume}\n')
    print('Epoch(train) [1][10/10] loss: 0.5', flush=True)
    time.sleep(standin.get('sleep', 0))
    if standin.get('fail'):
        print('ValueError: the stand-in was set to fail', file=sys.stderr)
        sys.exit(standin['fail'])
    checkpoint = args.work_dir / 'epoch_1.pth'
    checkpoint.write_text(f'{run} {standin} {args.seed}', encoding='utf-8')
    parent = parent_of(args.backbone) if args.backbone else None
    record(
        run.get('method') or (parent.method if parent else 'random'),
        run['task'],
        args.seed,
        run=args.work_dir.name,
        config=args.config,
        config_sha256=sha256_of_config(config),
        checkpoint=checkpoint.name,
        checkpoint_sha256=file_sha256(checkpoint),
        backbone=args.backbone,
        backbone_sha256=file_sha256(args.backbone) if args.backbone else None,
        parent=parent.run if parent else None,
    ).write(args.work_dir)


if __name__ == '__main__':
    main()
