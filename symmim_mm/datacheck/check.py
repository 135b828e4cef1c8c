"""A whole check, as ``tools/check_dataset.py`` runs it: layout, pictures, report."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from symmim_mm.datacheck.ade20k import CLASSES, plan_ade20k
from symmim_mm.datacheck.coco.layout import plan_coco
from symmim_mm.datacheck.folders import plan_folder, plan_imagenet
from symmim_mm.datacheck.image import Options
from symmim_mm.datacheck.job import Job, Outcome
from symmim_mm.datacheck.journal import Journal
from symmim_mm.datacheck.kinds import NOTICE, PROBLEM
from symmim_mm.datacheck.layout import Plan
from symmim_mm.datacheck.progress import Ticker
from symmim_mm.datacheck.report import Report, check_writable, plural, write_json
from symmim_mm.datacheck.workers import CHUNK, Workers
from symmim_mm.utils.errors import UserError

CHECKS = ('imagenet', 'folder', 'coco', 'ade20k')
MOST_WORKERS = 16  # beyond that, reading is what takes the time


def default_workers() -> int:
    """One process for each processor that this one may use, at most 16."""
    return min(len(os.sched_getaffinity(0)), MOST_WORKERS)


def read_classes(text: str | None) -> int | list[str] | None:
    """The value of ``--classes``: a number, or a file with one name a line.

    Raises:
        UserError: neither a number above 0 nor a file of names.
    """
    if text is None:
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    try:
        names = Path(text).read_text('utf-8').splitlines()
    except (OSError, ValueError) as error:
        raise UserError(
            f'--classes {text} is neither a number above 0 nor a file of names ({error})'
        ) from error
    names = [name.strip() for name in names if name.strip()]
    if not names or len(set(names)) < len(names):
        raise UserError(f'--classes {text} must hold names, one a line, each once')
    return names


def make_plan(args: argparse.Namespace, report: Report) -> tuple[Plan, int]:
    """Check the layout; returns what is left to do and the highest class of class maps."""
    root = str(args.root)
    classes = read_classes(getattr(args, 'classes', None))
    if args.check == 'folder':
        return plan_folder(root, report), 0
    if args.check == 'imagenet':
        return plan_imagenet(root, report, classes, (args.train, args.val)), 0
    if args.check == 'coco':
        return plan_coco(root, report, classes), 0
    number = len(classes) if isinstance(classes, Sequence) else classes
    return plan_ade20k(root, report, number), number or CLASSES


def check(args: argparse.Namespace) -> None:
    """Run ``tools/check_dataset.py``: write the JSON file, print the report.

    Raises:
        UserError: options that cannot work, or data with problems; with ``strict``, notices too.
    """
    for option in ('workers', 'max_pixels'):
        if getattr(args, option) < 1:
            raise UserError(f'--{option.replace("_", "-")} must be 1 or more')
    if args.limit < 0:
        raise UserError('--limit must be 0 or more')
    if not os.path.isdir(args.root):
        what = 'is a file' if os.path.exists(args.root) else 'does not exist'
        raise UserError(f'{args.root} {what}: name the folder of the data set')
    if args.json:
        check_writable(args.json)
    report = Report(args.check, args.root)
    plan, classes = make_plan(args, report)
    options = Options(str(args.root), not args.quick, args.max_pixels, classes)
    look_at_pictures(plan, options, args.workers, args.state, report)
    if args.json:
        write_json(args.json, report, quick=args.quick)
    sys.stdout.reconfigure(errors='backslashreplace')  # whatever the terminal can show
    for line in report.lines(args.limit):
        print(line)
    failed = report.total(PROBLEM) or (args.strict and report.total(NOTICE))
    if failed:
        raise UserError(f'{args.root}: {report.summary()}')
    print(f'\n{args.root}: {report.summary()}')


def look_at_pictures(
    plan: Plan, options: Options, workers: int, state: str | None, report: Report
) -> None:
    """Check the pictures of a plan in processes and note what is found.

    Args:
        plan: the pictures.
        options: what to check of them.
        workers: the number of processes; fewer where there are few pictures.
        state: the file of :class:`Journal`, if any.
        report: takes the findings.
    """
    if not plan.total:
        return
    journal = Journal(state, options) if state else None
    known = 0

    def take(job: Job, outcome: Outcome) -> None:
        for finding in outcome.findings:
            report.add(*finding)
        plan.seen(job, outcome)
        ticker.advance()

    def fresh() -> Iterator[Job]:
        nonlocal known
        for job in plan.jobs:
            outcome = journal.find(job) if journal else None
            if outcome is None:
                yield job
            else:
                known += 1
                take(job, outcome)

    workers = min(workers, -(-plan.total // CHUNK))
    try:
        with Ticker(plan.total) as ticker, Workers(workers, options) as pool:
            for job, outcome in pool.check(fresh()):
                take(job, outcome)
                if journal:
                    journal.note(job, outcome)
    finally:
        if journal:
            journal.close()
    plan.end()
    rate = ticker.done / max(ticker.seconds, 1e-3)
    report.fact(
        'checked',
        f'{plural(ticker.done, "picture")}, {"decoded" if options.decode else "headers only"}, '
        f'in {ticker.seconds:.1f} s ({rate:,.1f} a second, {plural(workers, "process")})'
        + (f', {known:,} of them known from {state}' if known else ''),
        pictures=ticker.done,
        seconds=round(ticker.seconds, 3),
        workers=workers,
        known=known,
    )
