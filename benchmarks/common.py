"""Parts of every benchmark: interleaved repeats, medians with spread, the environment."""

import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic
from symmim_mm.utils.host import available_cores

PACKAGES = (
    'torch', 'torchvision', 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain',
    'opencv-python-headless', 'pillow', 'simplejpeg', 'numpy',
)  # fmt: skip


class Sample(NamedTuple):
    """One measurement: amount of work, wall-clock seconds, processor seconds."""

    amount: float
    seconds: float
    cpu_seconds: float


def timed(work: Callable[[], float]) -> Sample:
    """Time ``work``, which returns the amount of work that it did."""
    cpu, clock = time.process_time(), time.perf_counter()
    amount = work()
    return Sample(amount, time.perf_counter() - clock, time.process_time() - cpu)


def interleave(
    cases: dict[str, Callable[[], Sample]],
    repeats: int,
    report: Callable[[str], None] = lambda line: None,
    until: float = math.inf,
) -> dict[str, list[Sample]]:
    """Measure all cases in turn, ``repeats`` times, starting with another case each time.

    A disturbance of the machine then affects all cases, and hardly their ratios. The first repeat
    apart, none begins after ``until`` of ``time.monotonic``.
    """
    if repeats < 1:
        raise UserError(f'repeats must be 1 or more, got {repeats}')
    samples: dict[str, list[Sample]] = {name: [] for name in cases}
    names = list(cases)
    for repeat in range(repeats):
        if repeat and time.monotonic() > until:
            break
        shift = repeat % len(names)
        for name in names[shift:] + names[:shift]:
            sample = cases[name]()
            samples[name].append(sample)
            rate = sample.amount / sample.seconds
            report(f'{repeat + 1}/{repeats} {name}: {rate:.1f} per second')
    return samples


def spread(values: list[float]) -> dict:
    """Return the median and quartiles, or the ends of one or two values."""
    if len(values) > 2:
        low, _, high = statistics.quantiles(values, n=4, method='inclusive')
    else:
        low, high = min(values), max(values)
    return dict(median=statistics.median(values), low=low, high=high)


def rates(samples: dict[str, list[Sample]], peer: str, by: str = 'seconds') -> dict[str, dict]:
    """Return the rates of the cases, and their ratios to the peer's of the same repeat.

    Args:
        samples: of every case.
        peer: name of the case to compare with.
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


def check_gpu(device: str, amp: bool = False) -> None:
    """Refuse ``'cuda'`` where there is no GPU, and mixed precision without one."""
    import torch

    if device == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda: torch sees no CUDA device here')
    if amp and device == 'cpu':
        raise UserError('--amp needs a GPU: MMEngine has no mixed precision on the CPU')


def environment() -> dict:
    """Return what a measurement depends on, the code apart: hardware, threads, versions, load."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return dict(
        date=time.strftime('%Y-%m-%d'),
        processor=_processor(),
        cores=os.cpu_count(),
        cores_usable=available_cores(),
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
    """Print progress to stderr."""
    print(line, file=sys.stderr, flush=True)


def problem_of(result: dict) -> str | None:
    """Return what a benchmark that ran to its end reports of a failure."""
    if failed := result.get('failed'):
        return f'{len(failed)} tests failed'
    if result.get('stopped'):
        return 'the time was over before all tests had run'
    if problems := result.get('problems'):
        return '; '.join(problems.values())
    if unfinished := result.get('unfinished'):
        return f'{len(unfinished)} runs of the study are not finished'
    return None


def write_result(path: str | os.PathLike, result: dict) -> None:
    """Write a result as JSON, atomically.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        write_atomic(path, json.dumps(result, indent=1) + '\n')
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror}') from error


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; all columns but the first are right-aligned."""
    rule = ['---', *['---:'] * (len(header) - 1)]
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [header, rule, *rows])


def with_spread(values: dict, form: str = '.0f', unit: str = '') -> str:
    """Return ``median (low to high)``."""
    median, low, high = (format(values[key], form) for key in ('median', 'low', 'high'))
    return f'{median}{unit} ({low} to {high})'
