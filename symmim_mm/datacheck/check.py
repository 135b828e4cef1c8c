"""A whole check, as ``tools/check_dataset.py`` runs it: layout, images, report."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from symmim_mm.datacheck.ade20k import CLASSES, plan_ade20k
from symmim_mm.datacheck.coco.layout import plan_coco
from symmim_mm.datacheck.folders import plan_folder, plan_imagenet
from symmim_mm.datacheck.image import MAX_PIXELS, Options
from symmim_mm.datacheck.journal import Journal
from symmim_mm.datacheck.kinds import NOTICE, PROBLEM
from symmim_mm.datacheck.layout import Job, Outcome, Plan
from symmim_mm.datacheck.report import Report, check_writable, write_json
from symmim_mm.datacheck.workers import CHUNK, check_jobs
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.host import available_cores
from symmim_mm.utils.progress import progress_bar
from symmim_mm.utils.text import counted

LAYOUTS = ('imagenet', 'folder', 'coco', 'ade20k')


def default_workers() -> int:
    """Return one process for each processor that this one may use, at most 16.

    Beyond that, reading is what takes the time.
    """
    return min(available_cores(), 16)


def read_classes(text: str | None) -> int | list[str] | None:
    """Read the value of ``--classes``: a number, or a file with one name a line.

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


def check(
    layout: str,
    root: str | os.PathLike,
    *,
    classes: int | Sequence[str] | None = None,
    images: str | None = None,
    splits: tuple[str, str] = ('train', 'val'),
    quick: bool = False,
    strict: bool = False,
    json_file: str | None = None,
    state: str | None = None,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    limit: int = 10,
) -> Report:
    """Check a dataset and print the report.

    Args:
        layout: one of ``LAYOUTS``.
        root: the folder of the dataset; of COCO's format, any annotation file as well.
        classes: their number or names; None expects those of the full dataset.
        images: folder of the images of an annotation file; by default that of the file.
        splits: names of ImageNet's training and validation folder.
        quick: read headers only.
        strict: take notices for problems.
        json_file: where to write the report as well.
        state: file of what earlier checks found, see :class:`Journal`.
        workers: processes; None takes :func:`default_workers`.
        max_pixels: pixels above which an image is not decoded but reported.
        limit: findings of a kind that are printed.

    Raises:
        UserError: options that cannot work, or data with problems.
    """
    workers = default_workers() if workers is None else workers
    for option, value in (('--workers', workers), ('--max-pixels', max_pixels)):
        if value < 1:
            raise UserError(f'{option} must be 1 or more')
    if limit < 0:
        raise UserError('--limit must be 0 or more')
    root, file = str(root), None
    if layout == 'coco' and os.path.isfile(root):
        file, root = root, images or os.path.dirname(root) or '.'
    elif images:
        raise UserError(f'--images belongs to an annotation file, and {root} is none')
    if not os.path.isdir(root):
        what = 'is a file' if os.path.exists(root) else 'does not exist'
        raise UserError(f'{root} {what}: name the folder of the dataset')
    if json_file:
        check_writable(json_file)
    report = Report(layout, root)
    count = len(classes) if isinstance(classes, Sequence) else classes
    match layout:
        case 'folder':
            plan = plan_folder(root, report)
        case 'imagenet':
            plan = plan_imagenet(root, report, classes, splits)
        case 'coco':
            plan = plan_coco(root, report, classes, file and os.path.relpath(file, root))
        case 'ade20k':
            plan = plan_ade20k(root, report, count)
    label_classes = (count or CLASSES) if layout == 'ade20k' else 0
    options = Options(root, not quick, max_pixels, label_classes)
    check_images(plan, options, workers, state, report)
    if json_file:
        write_json(json_file, report, quick=quick)
    sys.stdout.reconfigure(errors='backslashreplace')  # whatever the terminal can show
    for line in report.lines(limit):
        print(line)
    if report.total(PROBLEM) or (strict and report.total(NOTICE)):
        raise UserError(f'{root}: {report.summary()}')
    print(f'\n{root}: {report.summary()}')
    return report


def check_images(
    plan: Plan, options: Options, workers: int, state: str | None, report: Report
) -> None:
    """Check the images of a plan in at most ``workers`` processes and report what is found.

    ``state`` is the file of :class:`Journal`, if any.
    """
    if not plan.total:
        return
    workers = min(workers, -(-plan.total // CHUNK))
    done = known = 0
    highest = -1
    started = time.monotonic()
    with ExitStack() as stack:
        journal = stack.enter_context(closing(Journal(state, options))) if state else None
        advance = stack.enter_context(progress_bar('checking', plan.total))

        def take(outcome: Outcome) -> None:
            nonlocal done, highest
            for finding in outcome.findings:
                report.add(*finding)
            highest = max(highest, outcome.highest)
            done += 1
            advance()

        def fresh() -> Iterator[Job]:
            nonlocal known
            for job in plan.jobs:
                outcome = journal.find(job) if journal else None
                if outcome is None:
                    yield job
                else:
                    known += 1
                    take(outcome)

        for job, outcome in check_jobs(fresh(), options, workers):
            take(outcome)
            if journal:
                journal.note(job, outcome)
    plan.end(highest)
    seconds = time.monotonic() - started
    report.fact(
        'checked',
        f'{counted(done, "image")}, {"decoded" if options.decode else "headers only"}, '
        f'in {seconds:.1f} s ({done / max(seconds, 1e-3):,.1f} a second, '
        f'{counted(workers, "process")})'
        + (f', {known:,} of them known from {state}' if known else ''),
        images=done,
        seconds=round(seconds, 3),
        workers=workers,
        known=known,
    )
