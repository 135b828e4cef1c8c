"""What every benchmark shares: interleaved repeats, medians with spread, what it ran on."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from symmim_mm.atomic_file import write_atomic
from symmim_mm.errors import UserError

PACKAGES = (
    'torch', 'torchvision', 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain',
    'opencv-python-headless', 'pillow', 'simplejpeg', 'numpy',
)  # fmt: skip


class Sample(NamedTuple):
    """One measurement: how much was done, in how many seconds of the clock and of processors."""

    amount: float
    seconds: float
    cpu_seconds: float


def timed(work: Callable[[], float]) -> Sample:
    """Run ``work``, which returns how much it did, in this process."""
    cpu, clock = time.process_time(), time.perf_counter()
    amount = work()
    return Sample(amount, time.perf_counter() - clock, time.process_time() - cpu)


def interleave(
    cases: dict[str, Callable[[], Sample]],
    repeats: int,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, list[Sample]]:
    """Measure cases in turn, again and again, beginning with another one each time.

    What disturbs a machine for a while then disturbs all of them, and their ratios stay.
    """
    if repeats < 1:
        raise UserError(f'repeats must be 1 or more, got {repeats}')
    samples: dict[str, list[Sample]] = {name: [] for name in cases}
    names = list(cases)
    for repeat in range(repeats):
        shift = repeat % len(names)
        for name in names[shift:] + names[:shift]:
            sample = cases[name]()
            samples[name].append(sample)
            rate = sample.amount / sample.seconds
            report(f'{repeat + 1}/{repeats} {name}: {rate:.1f} a second')
    return samples


def spread(values: list[float]) -> dict:
    """Median and quartiles (of two values or one: the ends)."""
    if len(values) > 2:
        low, _, high = statistics.quantiles(values, n=4, method='inclusive')
    else:
        low, high = min(values), max(values)
    return dict(median=statistics.median(values), low=low, high=high)


def rates(samples: dict[str, list[Sample]], peer: str, by: str = 'seconds') -> dict[str, dict]:
    """Rates of the cases, and their ratios to the peer's.

    The ratio is that of the same repeat, since a machine is not equally fast at all times.

    Args:
        by: ``'seconds'`` of the clock, or ``'cpu_seconds'``, which other programs on the same
            processors disturb less.
    """
    found = {
        name: [sample.amount / getattr(sample, by) for sample in of_case]
        for name, of_case in samples.items()
    }
    return {
        name: dict(
            rate=spread(values),
            ratio=spread([a / b for a, b in zip(values, found[peer], strict=True)]),
            samples=[sample._asdict() for sample in samples[name]],
        )
        for name, values in found.items()
    }


def environment() -> dict:
    """Hardware, threads, versions, load: what a figure depends on besides the code."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return dict(
        date=time.strftime('%Y-%m-%d'),
        processor=_processor(),
        cores=os.cpu_count(),
        cores_usable=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 1),
        gpus=gpus,
        threads=torch.get_num_threads(),
        omp_num_threads=os.environ.get('OMP_NUM_THREADS'),
        load_average=[round(load, 2) for load in os.getloadavg()],
        python=platform.python_version(),
        versions={name: found for name in PACKAGES if (found := _version(name))},
    )


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def say(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


def write_result(path: str | os.PathLike, result: dict) -> None:
    """Write a result as JSON, whole or not at all.

    Raises:
        UserError: the place cannot be written.
    """
    try:
        write_atomic(path, json.dumps(result, indent=1) + '\n')
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror}') from error


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are aligned right."""
    rule = ['---', *['---:'] * (len(header) - 1)]
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [header, rule, *rows])


def with_spread(values: dict, form: str = '.0f', unit: str = '') -> str:
    """``median (low to high)``."""
    median, low, high = (format(values[key], form) for key in ('median', 'low', 'high'))
    return f'{median}{unit} ({low} to {high})'
