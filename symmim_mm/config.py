"""From a config file and the command line to the config of one run."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config, DictAction

from symmim_mm.errors import UserError


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that every command which runs a config shares."""
    parser.add_argument('config', help='a config file of configs/')
    parser.add_argument('--work-dir', help='where the run is kept (default: work_dirs/<config>)')
    parser.add_argument('--seed', type=int, help='random seed (default: that of the config, or 0)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='overrides of the config, e.g. train_cfg.max_epochs=2',
    )


def load_config(args: argparse.Namespace, check_data: bool = True) -> Config:
    """Read the config, apply the command line to it and check what can be checked at once.

    Args:
        args: as from :func:`add_run_arguments`.
        check_data: whether the data must be there.

    Raises:
        UserError: no such file, a config that does not parse, or a setting that cannot work.
    """
    path = Path(args.config)
    if not path.is_file():
        raise UserError(f'config {path} does not exist: name a .py file of configs/')
    try:
        cfg = Config.fromfile(path)
    except (SyntaxError, ImportError, FileNotFoundError, KeyError, TypeError) as error:
        raise UserError(f'config {path} cannot be read: {error}') from error
    if 'run' not in cfg or 'task' not in cfg.run:
        raise UserError(f"config {path} has no run=dict(task=..., dataset=...): is it a base file?")
    if args.cfg_options:
        try:
            cfg.merge_from_dict(args.cfg_options)
        except (KeyError, TypeError, IndexError) as error:
            raise UserError(f'--cfg-options do not fit {path}: {error}') from error
    cfg.work_dir = args.work_dir or str(Path('work_dirs') / path.stem)
    if Path(cfg.work_dir).is_file():
        raise UserError(f'--work-dir {cfg.work_dir} is a file: name a folder')
    seed = args.seed if args.seed is not None else cfg.get('randomness', {}).get('seed') or 0
    if seed < 0:
        raise UserError(f'--seed must be 0 or more, got {seed}')
    cfg.randomness = dict(cfg.get('randomness', {}), seed=seed)
    backbone = getattr(args, 'backbone', None)
    if backbone and not Path(backbone).is_file():
        raise UserError(f'--backbone {backbone} does not exist')
    _check_image_sizes(cfg.model.to_dict())
    if check_data and (problem := next(data_problems(cfg), None)):
        raise UserError(problem)
    return cfg


def _check_image_sizes(model: dict) -> None:
    from symmim_mm.models.masked_vit import check_image_size

    backbone = model.get('backbone') or {}
    if 'patch_size' in backbone or 'img_size' in backbone:
        check_image_size(backbone.get('img_size', 224), backbone.get('patch_size', 16))


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
            if not place.exists():
                problem = 'does not exist'
            elif place.is_dir() and not any(files for _, _, files in os.walk(place)):
                problem = 'is an empty folder, there are no pictures'
            else:
                continue
            yield f'{name}: {place} {problem}: put the data there or set {name}.dataset.data_root'
