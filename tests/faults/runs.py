"""Small runs of every kind for the fault injections, and how to start, end and compare them.

A run is the real command, ``tools/train.py``. Because importing the three libraries takes longer
than a small run, the scripts import them once and fork a process for every attempt.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / 'support'))
import quickstart  # noqa: E402
from paths import ROOT  # noqa: E402
from processes import free_ports as free_ports  # noqa: E402
from warm_commands import become_file, import_libraries  # noqa: E402

TASKS = ('pretrain', 'finetune', 'detection', 'segmentation')
CONFIGS = dict(
    pretrain='symmim_pretrain', finetune='finetune', detection='mask_rcnn', segmentation='upernet',
    knn='knn',
)  # fmt: skip
ARCH = 'dict(_delete_=True, embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64)'
# For faults that workers have no part in: to fork two takes longer than an epoch of steps.
WITHOUT_WORKERS = 'train_dataloader = dict(num_workers=0, persistent_workers=False)\n'
DEEPER = ARCH.replace('num_layers=2', 'num_layers=4')  # a tap of UperNet is a block of its own
# Small, but with everything random that the full recipes have: views and masks, mixing of images,
# stochastic depth, dropout, sampling of proposals; pre-training has loader workers.
CHANGES = dict(
    pretrain=f"""
model = dict(backbone=dict(arch={ARCH}), contrast=dict(hidden_dims=32, out_dims=16))
recipe = dict(epochs=5, batch=4, lr_batch=4)
train_dataloader = dict(num_workers=2)
default_hooks = dict(images=dict(count=1), logger=dict(interval=4))
""",
    finetune=f"""
model = dict(
    backbone=dict(arch={ARCH}, drop_path_rate=0.2),
    head=dict(in_channels=32),
    train_cfg=dict(_delete_=True, augments=[dict(type='mmpretrain.Mixup', alpha=0.8)]),
)
recipe = dict(epochs=5, batch=4, lr_batch=4, warmup_epochs=1)
train_cfg = dict(val_interval=2)
val_dataloader = dict(batch_size=8)
default_hooks = dict(logger=dict(interval=4))
""",
    detection=f"""
recipe = dict(iterations=24, batch=2, lr_batch=2, warmup_iterations=5)
train_cfg = dict(val_interval=12)
model = dict(
    backbone=dict(arch={ARCH}, drop_path_rate=0.2, out_indices=(1,), global_blocks=(1,)),
    neck=dict(in_channels=32),
)
custom_hooks = []
default_hooks = dict(logger=dict(interval=4), checkpoint=dict(interval=4))
""",
    segmentation=f"""
recipe = dict(iterations=24, batch=2, lr_batch=2, warmup_iterations=5)
train_cfg = dict(val_interval=12)
model = dict(
    backbone=dict(arch={DEEPER}, drop_path_rate=0.2, out_indices=(0, 1, 2, 3)),
    neck=dict(embed_dim=32),
    decode_head=dict(in_channels=[32] * 4),
    auxiliary_head=dict(in_channels=32),
)
custom_hooks = []
default_hooks = dict(logger=dict(interval=4), checkpoint=dict(interval=4))
""",
    knn=f"""
model = dict(backbone=dict(arch={ARCH}))
evaluation = dict(k=5)
""",
)


def write_config(folder: Path, task: str, data: Path, changes: str = '') -> Path:
    """Write a config of one of the quickstart's tasks on a handful of images.

    Args:
        folder: where it is written.
        task: one of ``CONFIGS``.
        data: the sample data, all layouts.
        changes: further lines of a config, merged on top.
    """
    return Path(quickstart.write_config(folder, CONFIGS[task], data, CHANGES[task], changes))


def sample_data(folder: Path) -> Path:
    """Draw a handful of images in all layouts."""
    from symmim_mm.datasets.sample.generate import write_sample_data

    data = folder / 'data'
    write_sample_data(data, train=30, val=10, coco_train=12, coco_val=4, ade_train=12, ade_val=4)
    return data


def preload() -> None:
    """Import the modules of a run.

    The number of threads is left to the environment: after ``torch.set_num_threads`` a forked
    process now and then ends with "Invalid thread pool!", as two of its threads make a new one.
    """
    sys.path.insert(0, str(ROOT))
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    import_libraries()
    import symmim_mm.apis.train
    import symmim_mm.engine.hooks
    import symmim_mm.models  # noqa: F401


def start(
    arguments: Sequence[str | Path],
    log: Path,
    environment: dict | None = None,
    tool: str = 'train.py',
) -> int:
    """Fork a process that runs a command of ``tools/``, output in ``log``; return its id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        # A shell starts background jobs deaf to Ctrl-C, and what they start inherits it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(ROOT)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        become_file([f'tools/{tool}', *map(str, arguments)], environment or {}, file, file)
    finally:
        os._exit(70)


def ended(process: int) -> int | None:
    """Return the exit code of a process (minus the signal that killed it), or ``None``."""
    found, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def wait(process: int, seconds: float = 300) -> int:
    """Wait for a process to end and return its exit code; kill it after ``seconds``."""
    until = time.monotonic() + seconds
    while (code := ended(process)) is None:
        if time.monotonic() > until:
            kill(process)
            raise TimeoutError(f'process {process} did not end within {seconds} seconds')
        time.sleep(0.01)
    return code


def signal_all(process: int, number: int) -> None:
    """Signal a run and its loader workers, as a scheduler does with every process of a job."""
    try:
        os.killpg(process, number)
    except ProcessLookupError:  # just forked, not a group of its own yet
        os.kill(process, number)


def kill(process: int) -> None:
    """``kill -9``, and wait for the end."""
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def wait_for(
    condition: Callable[[], object], process: int | subprocess.Popen, seconds: float = 300
) -> None:
    """Wait until a condition holds while a process runs.

    Raises:
        SystemExit: the process ended first, or the time did.
    """
    until = time.monotonic() + seconds
    while not condition():
        code = process.poll() if isinstance(process, subprocess.Popen) else ended(process)
        if code is not None or time.monotonic() > until:
            raise SystemExit(f'waited in vain; exit code {code}')
        time.sleep(0.003)


def has_saved(work_dir: Path) -> bool:
    """Return whether a run has written a checkpoint."""
    return (work_dir / 'last_checkpoint').exists()


def must(arguments: Sequence[str | Path], log: Path, code: int = 0, tool: str = 'train.py') -> None:
    """Run to the end and insist on an exit code."""
    found = wait(start(arguments, log, tool=tool))
    if found != code:
        raise SystemExit(f'exit code {found} instead of {code}, see {log}')


def errors(log: Path) -> list[str]:
    """Return the ``error:`` lines of a log."""
    lines = log.read_text(errors='replace').splitlines()
    return [line for line in lines if line.startswith('error: ')]


class Injection(NamedTuple):
    """What every script works with.

    Args:
        args: its options; ``times`` is the number of tries.
        folder: for its runs.
        data: sample data, all layouts.
        dice: for random moments.
        results: tries and survivors of each fault.
    """

    args: argparse.Namespace
    folder: Path
    data: Path
    dice: random.Random
    results: list[tuple[int, int]]

    def report(self, fault: str, tries: int, survived: int, outcome: str) -> None:
        """Print a row of the table."""
        self.results.append((tries, survived))
        print(f'| {fault} | {tries} | {survived} | {outcome} |', flush=True)


def script(
    text: str,
    inject: Callable[[Injection], None],
    times: int = 3,
    options: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
) -> None:
    """Run a script of fault injections: its options, a folder, the table, and the exit code.

    Args:
        text: its docstring.
        inject: makes the runs.
        times: tries of each fault by default.
        options: adds further options to the parser.
    """
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument('--times', type=int, default=times, help=f'of each fault ({times})')
    parser.add_argument('--seed', type=int, default=0, help='of the dice')
    parser.add_argument('--keep', type=Path, help='work in this folder and leave it')
    options(parser)
    args = parser.parse_args()
    preload()
    print('| fault | tries | survived | what happened |\n|---|---|---|---|', flush=True)
    # Not by TemporaryDirectory: a forked command would remove the folder at its end.
    folder = args.keep or Path(tempfile.mkdtemp(prefix='faults_'))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        injection = Injection(args, folder, sample_data(folder), random.Random(args.seed), [])
        inject(injection)
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(any(tries != survived for tries, survived in injection.results))
