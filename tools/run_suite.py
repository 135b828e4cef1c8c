#!/usr/bin/env python3
"""Make all runs of a suite that are not finished, in order, then the table and the page."""

import argparse
import sys
from pathlib import Path

from symmim_mm import cli

ROOT = Path(__file__).resolve().parents[1]


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Exit code 0 when every run is finished, 1 if a run failed, 2 for a mistake in the '
        'suite file or the options. Interrupted runs go on where they stopped.',
    )
    parser.add_argument('suite', metavar='SUITE.yaml', help='what to run, see configs/suites')
    parser.add_argument(
        '--work-dir',
        metavar='DIR',
        help='where the runs go (default: work_dirs/<name of the suite>)',
    )
    parser.add_argument(
        '--size', metavar='S', help='stands in for {size} in the suite file, e.g. l for ViT-L'
    )
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='list the commands that would run, in order, and run nothing',
    )
    parser.add_argument(
        '--jobs',
        type=int,
        metavar='N',
        help='runs at a time (default: number of cores; 1 where the suite has '
        'gpus; with --slurm: 100)',
    )
    parser.add_argument(
        '--slurm',
        action='store_true',
        help='submit every run as a Slurm job (resources: "slurm" in the suite)',
    )
    return parser


def main(args: argparse.Namespace) -> None:
    from symmim_mm.suite.run_suite import run_suite

    code = run_suite(
        args.suite,
        ROOT,
        args.work_dir,
        jobs=args.jobs,
        dry_run=args.dry_run,
        slurm=args.slurm,
        size=args.size,
    )
    sys.exit(code)


if __name__ == '__main__':
    cli.run(main, build_parser())
