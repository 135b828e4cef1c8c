"""From a config file and the command line to the config of one run."""

import argparse
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from symmim_mm.config import TASKS
from symmim_mm.config.file import read_config_file
from symmim_mm.config.image_size import check_image_size
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.paths import no_checkpoint
from symmim_mm.utils.text import is_text

# What a config may state as a dict or leave out; some of them may be None.
DICTS = (
    'run', 'model', 'data_preprocessor', 'recipe', 'optim_wrapper', 'randomness', 'evaluation',
    'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg', 'val_cfg', 'test_cfg',
    'default_hooks', 'env_cfg',
)  # fmt: skip


def load_config(args: argparse.Namespace, check_data: bool = True) -> Config:
    """Read the config, apply the command line to it and check what can be checked at once.

    Args:
        args: as from ``symmim_mm.cli.training.add_run_arguments``.
        check_data: whether the data must be there.

    Raises:
        UserError: no such file, a config that does not parse, or a setting that cannot work.
    """
    path = Path(args.config)
    cfg = read_config_file(path)
    if args.cfg_options:
        try:
            cfg.merge_from_dict(args.cfg_options)
        except Exception as error:  # options of any shape meet values of any shape
            raise UserError(
                f'--cfg-options do not fit {path}: {type(error).__name__}: {error!s:.200}'
            ) from error
    _check_kinds(cfg, path)
    cfg.work_dir = args.work_dir or str(Path('work_dirs') / path.stem)
    _check_work_dir(cfg.work_dir)
    randomness = cfg.get('randomness') or {}
    seed = args.seed if args.seed is not None else randomness.get('seed') or 0
    if type(seed) is not int or not 0 <= seed < 1 << 32:
        raise UserError(f'--seed must be a whole number from 0 to 2**32 - 1, got {seed!s:.80}')
    cfg.randomness = dict(randomness, seed=seed)
    backbone = getattr(args, 'backbone', None)
    if backbone and (problem := no_checkpoint(backbone)):
        raise UserError(f'--backbone {problem}')
    if cfg.get('load_from') and (problem := no_checkpoint(cfg.load_from)):
        raise UserError(f'load_from {problem}')
    _check_image_sizes(cfg.model.to_dict())
    if check_data and (problem := next(data_problems(cfg), None)):
        raise UserError(problem)
    return cfg


def _check_kinds(cfg: Config, path: Path) -> None:
    """The parts of a config that are read here must be what they are read as."""
    for name in DICTS:
        if name in cfg and not isinstance(cfg[name], dict | None):
            raise UserError(f'config {path}: {name} must be a dict, got {cfg[name]!s:.80}')
    _check_run(cfg.get('run') or {}, path)
    if not cfg.get('model'):
        raise UserError(f'config {path} has no model')
    for name in ('load_from', 'work_dir'):
        if not isinstance(cfg.get(name), str | None):
            raise UserError(f'config {path}: {name} must be a path, got {cfg[name]!s:.80}')
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = (cfg.get(name) or {}).get('dataset')
        while dataset is not None:
            _check_dataset_kinds(dataset, name)
            dataset = dataset.get('dataset')  # inside of a wrapper such as RepeatDataset


def _check_work_dir(work_dir: str) -> None:
    try:
        kind = os.stat(work_dir).st_mode
    except FileNotFoundError:
        if os.path.islink(work_dir):
            raise UserError(f'--work-dir {work_dir} is a link to nothing') from None
    except (OSError, ValueError) as error:  # a loop of links, a name too long, a zero byte
        reason = getattr(error, 'strerror', None) or error
        raise UserError(f'--work-dir {work_dir:.200}: {reason}: name another folder') from None
    else:
        if not stat.S_ISDIR(kind):
            raise UserError(f'--work-dir {work_dir} is a file: name a folder')


def _check_run(run: dict, path: Path) -> None:
    """What a record takes from ``run`` must be what a record can hold."""
    if not all(isinstance(run.get(name), str) and run[name] for name in ('task', 'dataset')):
        raise UserError(f'config {path} has no run=dict(task=..., dataset=...): is it a base file?')
    if run['task'] not in TASKS:
        tasks = ', '.join(TASKS)
        raise UserError(f'config {path}: run.task must be one of {tasks}, got {run["task"]:.80}')
    for name in ('dataset', 'method'):
        if name in run and not is_text(run[name]):
            raise UserError(
                f'config {path}: run.{name} must be a text in UTF-8, got {run[name]!s:.80}'
            )


def _check_dataset_kinds(dataset: object, name: str) -> None:
    if not isinstance(dataset, dict):
        raise UserError(f'{name}.dataset must be a dict, got {dataset!s:.80}')
    prefix = dataset.get('data_prefix')
    prefixes = prefix.values() if isinstance(prefix, dict) else [prefix]
    for part in (dataset.get('data_root'), dataset.get('ann_file'), *prefixes):
        if not isinstance(part, str | None):
            raise UserError(f'{name}.dataset: {part!s:.80} is not the path of a file or folder')


def _check_image_sizes(model: dict) -> None:
    backbone = model.get('backbone') or {}
    if not isinstance(backbone, dict):
        raise UserError(f'model.backbone must be a dict, got {backbone!s:.80}')
    if 'patch_size' in backbone or 'img_size' in backbone:
        size, patch = backbone.get('img_size', 224), backbone.get('patch_size', 16)
        sides = size if isinstance(size, list | tuple) else (size,)
        if not sides or any(type(side) is not int or side < 1 for side in (*sides, patch)):
            raise UserError(
                'model.backbone: img_size and patch_size must be whole numbers of pixels, got '
                f'{size!s:.80} and {patch!s:.80}'
            )
        check_image_size(size, patch)


def data_problems(
    cfg: Config, loaders: tuple[str, ...] = ('train_dataloader', 'val_dataloader')
) -> Iterator[str]:
    """One line for every folder and file that a loader will read and that is not there."""
    for name in loaders:
        dataset = (cfg.get(name) or {}).get('dataset')
        while dataset and 'dataset' in dataset:  # a wrapper such as RepeatDataset
            dataset = dataset['dataset']
        if not dataset:
            continue
        root = dataset.get('data_root') or ''
        prefix = dataset.get('data_prefix') or ''
        prefixes = list(prefix.values()) if isinstance(prefix, dict) else [prefix]
        for part in (dataset.get('ann_file') or '', *prefixes):
            place = Path(root, part)
            if not (root or part):
                continue
            if problem := _place_problem(place):
                yield f'{name}: {place} {problem} or set {name}.dataset.data_root'


def _place_problem(place: Path) -> str | None:
    """Why no pictures can be read from a file or folder, and what to do; None if they can."""
    refused: list[OSError] = []
    try:
        os.stat(place)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a zero byte
        return 'does not exist: put the data there'
    except OSError as error:
        refused.append(error)
    else:
        walk = os.walk(place, onerror=refused.append)
        if not place.is_dir() or any(files for _, _, files in walk):
            return None
    if refused:
        return f'cannot be read ({refused[0].strerror}): let this user read it'
    return 'is an empty folder, there are no pictures: put the data there'
