"""What a suite wants: its runs, and what they depend on.

A suite file says which methods are pre-trained and which transfers follow::

    name: quickstart
    data:
      generator: [tools/make_sample_data.py, work_dirs/quickstart/data, --seed, '0']
    seeds: [0]
    methods: {symmim: configs/.../symmim_pretrain.py, random: null}
    transfers: {finetune: configs/.../finetune.py, knn: configs/.../knn.py}
    size: b                                            # optional, stands in for {size} everywhere
    gpus: 8                                            # optional: processes of a training
    amp: true                                          # optional: trainings in mixed precision
    slurm: {slurm_partition: gpu, gres: 'gpu:8'}       # optional, for --slurm

``data`` is optional: a command that makes the data, with its output directory as the first
argument, where it leaves ``manifest.json`` last. A method with ``null`` starts from random
weights. A config with ``evaluation`` judges frozen features, by the tool of its task, in one
process; every other config is trained. Paths are relative to the project's root, and every
command runs there.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from symmim_mm.config import EVALUATION_TOOLS, TASKS, TRAIN_TOOL
from symmim_mm.config.hash import read_config, sha256_of_config
from symmim_mm.utils.errors import UserError

DATA = 'data'
STATE = '.suite'
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.]*')


@dataclass(frozen=True)
class Run:
    """One run of a suite; also what the job of the run is told, so all of it is plain data."""

    name: str
    method: str
    task: str
    config: str
    config_sha256: str
    seed: int
    folder: str
    tool: str
    parent: str | None
    parent_folder: str | None
    gpus: int = 0
    amp: bool = False

    @property
    def trains(self) -> bool:
        """Whether the run is a training, not an evaluation of frozen features."""
        return Path(self.tool).name == Path(TRAIN_TOOL).name


@dataclass(frozen=True)
class Suite:
    """A checked suite file. ``root`` is the project's root, ``work_dir`` where the runs go."""

    name: str
    root: Path
    work_dir: Path
    generator: tuple[str, ...]
    runs: tuple[Run, ...]
    gpus: int
    slurm: dict[str, str | int]

    @property
    def manifest(self) -> Path | None:
        """The file that says that the generated data are complete."""
        return self.root / self.generator[1] / 'manifest.json' if self.generator else None


def load_suite(
    path: str | Path,
    root: str | Path,
    work_dir: str | Path | None = None,
    tools_dir: str = 'tools',
    size: str | None = None,
) -> Suite:
    """Read and check a suite file.

    Args:
        path: the YAML file.
        root: the project's root, to which paths in the file are relative.
        work_dir: where the runs go; ``<root>/work_dirs/<name>`` when ``None``.
        tools_dir: directory of the commands that make the runs, relative to ``root``.
        size: stands in for ``{size}`` in place of the file's own.

    Raises:
        UserError: the file cannot be read, says something unknown or names a missing config.
    """
    root = Path(root).resolve()
    data = _read(Path(path), size)
    work_dir = Path(work_dir).resolve() if work_dir else root / 'work_dirs' / data['name']
    runs: list[Run] = []
    read: dict[str, tuple[str, str]] = {}

    def tool_and_hash(task: str, config: str) -> tuple[str, str]:
        if not os.path.isfile(root / config):
            raise UserError(f'{path}: no such config file: {config}')
        content = read_config(root / config)
        if task in EVALUATION_TOOLS and 'evaluation' in content:
            return EVALUATION_TOOLS[task], sha256_of_config(content)
        return TRAIN_TOOL, sha256_of_config(content, ['--amp=True'] * data['amp'])

    def add(method: str, task: str, config: str, seed: int, parent: Run | None) -> Run:
        if config not in read:
            read[config] = tool_and_hash(task, config)
        name = f'{method}-{task}-seed{seed}'
        tool = str(Path(tools_dir) / Path(read[config][0]).name)
        run = Run(
            name,
            method,
            task,
            config,
            read[config][1],
            seed,
            str(work_dir / name),
            tool,
            parent.name if parent else None,
            parent.folder if parent else None,
            data['gpus'],
            data['amp'],
        )
        runs.append(run)
        return run

    # Pre-trainings of all seeds come first: the longest chains start there.
    origins = {
        (method, seed): add(method, 'pretrain', config, seed, None) if config else None
        for seed in data['seeds']
        for method, config in data['methods'].items()
    }
    for (method, seed), origin in origins.items():
        for task, config in data['transfers'].items():
            add(method, task, config, seed, origin)
    return Suite(
        data['name'], root, work_dir, tuple(data['data']), tuple(runs), data['gpus'], data['slurm']
    )


def _read(path: Path, size: str | None) -> dict[str, Any]:
    """A suite file with every part present and of the right kind."""
    try:
        text = path.read_text(encoding='utf-8')
        data = yaml.safe_load(text)
        if isinstance(data, dict) and (size := size or data.get('size')):
            if '{size}' not in text:
                raise UserError(f'{path}: there is no {{size}} that a size could stand in for')
            data = yaml.safe_load(text.replace('{size}', str(size)))
    except OSError as error:
        raise UserError(f'{path}: cannot read the suite file: {error.strerror}') from error
    except UserError:
        raise
    except Exception as error:  # of YAML, or of a date, number or depth that Python does not take
        raise UserError(f'{path}: not a YAML file: {error!s:.300}') from error

    def need(condition: bool, message: str) -> None:
        if not condition:
            raise UserError(f'{path}: {message}')

    need(isinstance(data, dict), 'a suite file is a mapping with name, methods and transfers')
    known = {'name', 'data', 'seeds', 'methods', 'transfers', 'slurm', 'size', 'gpus', 'amp'}
    need(
        not data.keys() - known,
        f'unknown key {", ".join(sorted(map(str, data.keys() - known)))}'
        f'; known are {", ".join(sorted(known))}',
    )
    name = data.get('name')
    need(
        isinstance(name, str) and re.fullmatch(r'[A-Za-z0-9][\w.-]*', name) is not None,
        'name must be a word that can name a directory',
    )
    seeds = data.get('seeds', [0])
    need(
        isinstance(seeds, list)
        and seeds != []
        and all(type(seed) is int and 0 <= seed < 1 << 32 for seed in seeds)
        and len(set(seeds)) == len(seeds),
        'seeds must be a list of different whole numbers >= 0',
    )
    methods, transfers = data.get('methods'), data.get('transfers', {})
    need(isinstance(methods, dict) and methods != {}, 'methods must map names to configs')
    for method, config in methods.items():
        need(
            isinstance(method, str) and _NAME.fullmatch(method) is not None,
            f'method {method!r} must be a word of letters, digits, "_" and "."',
        )
        need(config is None or isinstance(config, str), f'method {method}: a config path or null')
    need(isinstance(transfers, dict), 'transfers must map tasks to configs')
    for task, config in transfers.items():
        need(task in TASKS[1:], f'unknown transfer {task!r}; known are {", ".join(TASKS[1:])}')
        need(isinstance(config, str), f'transfer {task}: expected the path of a config')
    source = data.get('data') or {}
    need(
        isinstance(source, dict) and not source.keys() - {'generator'},
        'data takes one key, generator',
    )
    generator = source.get('generator', [])
    need(
        isinstance(generator, list)
        and (not generator or len(generator) > 1)
        and all(isinstance(word, str | int | float) for word in generator),
        'data.generator must be a list: a command and its output directory, then options',
    )
    gpus, amp = data.get('gpus', 0), data.get('amp', False)
    need(
        isinstance(gpus, int) and not isinstance(gpus, bool) and gpus >= 0,
        'gpus must be a whole number: processes of each training',
    )
    need(isinstance(amp, bool), 'amp must be true or false')
    slurm = data.get('slurm') or {}
    need(isinstance(slurm, dict), 'slurm must map resource names to values')
    return {
        'name': name,
        'seeds': seeds,
        'methods': methods,
        'transfers': transfers,
        'data': [str(word) for word in generator],
        'gpus': gpus,
        'amp': amp,
        'slurm': slurm,
    }


def command(run: Run, root: Path, backbone: str | None, resume: bool = False) -> list[str]:
    """The command line of a run, to be started in ``root``.

    Only training runs on several GPUs, in mixed precision and can be resumed; an evaluation of
    frozen features starts again.
    """
    start = [sys.executable, run.tool, run.config]
    if run.trains and run.gpus:
        script = str(Path(run.tool).with_name('dist_train.sh'))
        start = ['bash', script, run.config, str(run.gpus)]
    words = [*start, '--work-dir', shown(run.folder, root), '--seed', str(run.seed)]
    if backbone is not None:
        words += ['--backbone', shown(backbone, root)]
    if run.trains:
        words += ['--amp'] * run.amp + ['--resume'] * resume
    return words


def shown(path: str | Path, root: Path) -> str:
    """A path relative to ``root`` where it lies below it."""
    try:
        return str(Path(path).relative_to(root))
    except ValueError:
        return str(path)
