"""The tests that need a GPU, with their outcomes as JSON."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.common import environment, markdown
from symmim_mm.utils.errors import Fault

ROOT = Path(__file__).parents[1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tools/benchmark.py checks``."""
    parser.add_argument(
        '--processes', type=int, default=0, help='at a time, with pytest-xdist (default: one)'
    )
    parser.add_argument('--rehearse', action='store_true', help='on the CPU')
    parser.add_argument('--select', default='', help="pytest's -k")
    parser.add_argument('--minutes', type=float, help='then it stops (default: no limit)')


def run(args: argparse.Namespace) -> dict:
    """Run the tests and return the names of those that passed and the texts of those that failed.

    Raises:
        Fault: pytest left no report.
    """
    before = environment()
    with tempfile.TemporaryDirectory(prefix='symmim-checks-') as folder:
        report = Path(folder) / 'report.xml'
        words = [sys.executable, '-m', 'pytest', '-q', '-m', 'gpu', f'--junitxml={report}']
        words += ['-p', 'no:cacheprovider', 'tests/gpu']
        if args.processes:
            words += ['-n', str(args.processes), '--dist', 'loadgroup']
        if args.select:
            words += ['-k', args.select]
        env = dict(os.environ)
        if args.rehearse:
            env |= dict(SYMMIM_REHEARSE='1', CUDA_VISIBLE_DEVICES='')
        start = time.monotonic()
        process = subprocess.Popen(words, cwd=ROOT, env=env, stdout=sys.stderr)
        try:
            code = process.wait(60 * args.minutes if args.minutes else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # pytest writes its report
            code = process.wait()
        if not report.is_file():
            raise Fault(f'pytest ended with code {code} and left no report')
        outcomes = read_report(report)
    return dict(
        settings=dict(processes=args.processes, rehearsal=args.rehearse),
        environment=before,
        seconds=time.monotonic() - start,
        stopped=code == 2,  # pytest's code of an interruption
        **outcomes,
    )


def read_report(path: Path) -> dict[str, dict]:
    """Return the outcomes of a JUnit report.

    Returns:
        ``passed``: seconds by name; ``failed`` and ``skipped``: texts by name.
    """
    found: dict[str, dict] = dict(passed={}, failed={}, skipped={})
    for case in ElementTree.parse(path).iter('testcase'):
        if case.get('name') is None:
            continue  # it was running when pytest was interrupted
        name = f'{case.get("classname")}::{case.get("name")}'
        problem = next((part for part in case if part.tag in ('failure', 'error')), None)
        skipped = case.find('skipped')
        if problem is not None:
            found['failed'][name] = (problem.text or problem.get('message') or '')[-4000:]
        elif skipped is not None:
            found['skipped'][name] = skipped.get('message') or ''
        else:
            found['passed'][name] = float(case.get('time') or 0)
    return found


def tables(result: dict) -> dict[str, str]:
    """Return a Markdown table: how many passed, and what did not."""
    rows = [['passed', str(len(result['passed']))]]
    rows += [[f'failed: {name}', ''] for name in result['failed']]
    rows += [[f'skipped: {name}', text] for name, text in result['skipped'].items()]
    return dict(checks=markdown(['tests on a GPU', ''], rows))
