"""Suite files: which runs a suite consists of, and what they depend on.

A suite file says which methods are pre-trained and which transfers follow::

    name: quickstart
    data:
      generator: [sample-data, work_dirs/quickstart/data, --seed, '0']
    seeds: [0]
    methods: {symmim: quickstart/symmim_pretrain, random: null}
    transfers: {finetune: quickstart/finetune, knn: quickstart/knn}
    size: b                                            # optional, the value of {size} everywhere
    gpus: 8                                            # optional: processes of a training
    amp: true                                          # optional: trainings in mixed precision
    slurm: {partition: gpu, gres: 'gpu:8'}             # optional, for --slurm: options of srun

A method may change settings of its config, by dotted names as ``--cfg-options`` does::

    methods: {whole: {config: quickstart/symmim_pretrain, options: {model.momentum_mask: null}}}

``data`` is optional: a command of ``symmim`` or a ``.py`` file that writes the data, with its
output directory as the first argument, where it writes ``manifest.json`` last. A method with
``null`` starts from random weights. A transfer is named by its task, or ``TASK.NAME`` where a suite
has several of one task. Runs are made seed by seed and, within a seed, method by method. A config
with ``evaluation`` evaluates frozen features, by the command of its task, in one process; every
other config is trained. Paths are relative to the directory in which the suite runs; configs are
also found by their names below ``configs/``.
"""

import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from symmim_mm.config import EVALUATIONS, TASKS
from symmim_mm.config.file import find_config
from symmim_mm.config.hash import read_config, sha256_of_config
from symmim_mm.utils.errors import UserError, from_validation_error
from symmim_mm.utils.warm_start import PROGRAM

DATA = 'data'
MULTI_GPU = 'tools/dist_train.sh'


def _different(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError('should be different integers')
    return seeds


Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
Word = Annotated[str, StringConstraints(pattern=r'^[A-Za-z0-9][A-Za-z0-9_.]*$')]
Directory = Annotated[str, StringConstraints(pattern=r'^[A-Za-z0-9][\w.-]*$')]
Transfer = Annotated[
    str, StringConstraints(pattern=rf'^({"|".join(TASKS[1:])})(\.[A-Za-z0-9][A-Za-z0-9_.]*)?$')
]
Option = Annotated[str, StringConstraints(pattern=r'^[a-z][a-z-]+$')]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra='forbid')


class _Data(_Strict):
    generator: Annotated[list[str | int | float], Field(min_length=2)]


class _Loader(yaml.SafeLoader):
    """YAML in which what has a colon is a string, and no name is stated twice.

    YAML 1.1 takes a time of 24:00:00 for 86400, in base 60, and the last of two equal names.
    """

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        """Return the tag of a node that states none."""
        if kind is yaml.ScalarNode and ':' in value:
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Return a mapping as it is written: nothing is merged into it yet."""
        node = super().compose_mapping_node(anchor)
        names = Counter(name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode))
        if twice := [name for name, count in names.items() if count > 1]:
            raise ValueError(f'{twice[0]} is stated twice')
        return node


def _as_recorded(options: dict[str, Any]) -> tuple[str, ...]:
    """Return options as the record of a run writes them: as the command line reads the values."""
    from mmengine.config import DictAction

    parse = DictAction._parse_iterable
    return tuple(f'{key}={parse(str(value))}' for key, value in sorted(options.items()))


class _Method(_Strict):
    config: str
    options: Annotated[
        dict[str, str | int | float | bool | None], AfterValidator(_as_recorded)
    ] = ()  # fmt: skip


Method = Annotated[
    _Method, BeforeValidator(lambda value: {'config': value} if isinstance(value, str) else value)
]


class _File(_Strict):
    name: Directory
    data: _Data | None = None
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_different)] = [0]
    methods: Annotated[dict[Word, Method | None], Field(min_length=1)]
    transfers: dict[Transfer, str] = {}
    size: str | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    amp: bool = False
    slurm: dict[Option, str | int] = {}


@dataclass(frozen=True)
class Run:
    """One run of a suite; ``command`` is that of ``symmim``, ``parent`` the pre-training.

    ``options`` are ``key=value`` changes of the config.
    """

    name: str
    method: str
    task: str
    config: str
    config_sha256: str
    seed: int
    folder: Path
    command: str
    parent: 'Run | None'
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """A checked suite file; commands run in ``root``, ``program`` is the ``symmim`` they call."""

    name: str
    root: Path
    work_dir: Path
    generator: tuple[str, ...]
    runs: tuple[Run, ...]
    gpus: int
    amp: bool
    slurm: Mapping[str, str | int]
    program: tuple[str, ...]

    @property
    def manifest(self) -> Path | None:
        """The file that says that the generated data are complete."""
        return self.root / self.generator[1] / 'manifest.json' if self.generator else None

    @property
    def state(self) -> Path:
        """Directory of the suite's own files."""
        return self.work_dir / '.suite'

    def data_command(self) -> list[str]:
        """Return the command line that generates the data."""
        start = [sys.executable] if self.generator[0].endswith('.py') else self.program
        return [*start, *self.generator]

    def command(self, run: Run, backbone: str | Path | None, resume: bool = False) -> list[str]:
        """Return the command line of a run.

        Only trainings run on several GPUs, in mixed precision and can be resumed; an evaluation of
        frozen features starts again.
        """
        trains = run.command == 'train'
        words = [*self.program, run.command, run.config]
        if trains and self.gpus:
            words = ['bash', MULTI_GPU, run.config, str(self.gpus)]
        words += ['--work-dir', self.relative(run.folder), '--seed', str(run.seed)]
        if backbone is not None:
            words += ['--backbone', self.relative(backbone)]
        words += ['--amp'] * (trains and self.amp) + ['--resume'] * (trains and resume)
        return words + (['--cfg-options', *run.options] if run.options else [])

    def relative(self, path: str | Path) -> str:
        """Return a path relative to ``root`` if it lies below it."""
        path = Path(path)
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)


def load_suite(
    path: str | Path,
    work_dir: str | Path | None = None,
    *,
    root: str | Path = '.',
    size: str | None = None,
    program: tuple[str, ...] = PROGRAM,
) -> Suite:
    """Read and check a suite file.

    Args:
        path: the YAML file.
        work_dir: where the runs go; ``<root>/work_dirs/<name>`` by default.
        root: directory in which commands run and that paths in the file are relative to.
        size: value of ``{size}``; the file's own by default.
        program: start of the command lines, in place of ``symmim``.

    Raises:
        UserError: the file cannot be read, has an invalid field or names a missing config.
    """
    root = Path(root).resolve()
    file = _read(Path(path), size)
    work_dir = Path(work_dir).resolve() if work_dir else root / 'work_dirs' / file.name
    if file.gpus and not (root / MULTI_GPU).is_file():
        raise UserError(f'{path}: gpus needs {MULTI_GPU}: run the suite in a clone of the project')
    runs: list[Run] = []

    @cache
    def look_up(task: str, config: str, options: tuple[str, ...]) -> tuple[str, str, str]:
        """Return path, hash and command of a config."""
        found = find_config(config, root)
        if not os.path.isfile(root / found):
            raise UserError(f'{path}: no such config file: {config}')
        content = read_config(root / found)
        if task in EVALUATIONS and 'evaluation' in content:
            return found, sha256_of_config(content), task
        changes = ['--amp=True'] * file.amp + list(options)
        return found, sha256_of_config(content, changes), 'train'

    def add(
        method: str, part: str, config: str, seed: int, parent: Run | None,
        options: tuple[str, ...] = (),
    ) -> Run:  # fmt: skip
        task, name = part.partition('.')[0], f'{method}-{part}-seed{seed}'
        found, sha256, command = look_up(task, config, options)
        folder = work_dir / name
        runs.append(Run(name, method, task, found, sha256, seed, folder, command, parent, options))
        return runs[-1]

    # However early a suite is stopped, it leaves whole methods, and whole seeds of them.
    for seed in file.seeds:
        for method, start in file.methods.items():
            parent = start and add(method, 'pretrain', start.config, seed, None, start.options)
            for name, transfer in file.transfers.items():
                add(method, name, transfer, seed, parent)
    generator = tuple(map(str, file.data.generator)) if file.data else ()
    return Suite(
        file.name, root, work_dir, generator, tuple(runs), file.gpus, file.amp, file.slurm, program
    )


def _read(path: Path, size: str | None) -> _File:
    try:
        text = path.read_text(encoding='utf-8')
        data = _Loader(text).get_single_data()
        size = size or (data.get('size') if isinstance(data, dict) else None)
        if size and '{size}' in text:
            data = _Loader(text.replace('{size}', str(size))).get_single_data()
    except OSError as error:
        raise UserError(f'{path}: cannot read the suite file: {error.strerror}') from error
    except Exception as error:  # of YAML, or of a date, number or depth that Python refuses
        raise UserError(f'{path}: not a YAML file: {error!s:.300}') from error
    if size and '{size}' not in text:
        raise UserError(f'{path}: there is no {{size}} for a size to replace')
    try:
        return _File.model_validate(data)
    except ValidationError as error:
        raise UserError(f'{path}: {from_validation_error(error)}') from error
