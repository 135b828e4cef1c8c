"""Loading of a config file with the options of a command line."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from mmengine.config import Config
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)

from symmim_mm.config import TASKS
from symmim_mm.config.classes import LOADERS, follow_classes, loader_datasets
from symmim_mm.config.file import read_config_file
from symmim_mm.config.image_size import check_image_size, follow_encoder
from symmim_mm.config.mask_branch import follow_mask_branch
from symmim_mm.utils.errors import UserError, from_validation_error
from symmim_mm.utils.paths import checkpoint_problem
from symmim_mm.utils.text import is_text

# Endings of images, for what is not read.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.ppm', '.webp')
JPEG_DATASETS = ('ADE20KDataset', 'BaseSegDataset')  # whose img_suffix is .jpg
SKIPPED = 0.01  # share of images that a loader may skip
EVALUATORS = ('val_evaluator', 'test_evaluator')
DICTS = ('data_preprocessor', 'recipe', 'optim_wrapper', 'randomness', 'evaluation', 'train_cfg',
         'val_cfg', 'test_cfg', 'default_hooks', 'env_cfg')  # fmt: skip


def _check_text(value: str) -> str:
    if not is_text(value):
        raise ValueError('must be a string in UTF-8 that is not empty')
    return value


Text = Annotated[str, AfterValidator(_check_text)]
Paths = Annotated[
    dict[str, str | None],
    BeforeValidator(lambda value: value if isinstance(value, dict) else {'path': value}),
]
Pixels = Annotated[int, Field(ge=1)]
Sides = Annotated[
    list[Pixels],
    Field(min_length=1),
    BeforeValidator(lambda value: list(value) if isinstance(value, list | tuple) else [value]),
]


class _Part(BaseModel):
    """A part of a config: types of the settings that are read here; there may be others."""

    model_config = ConfigDict(strict=True)


class _Run(_Part):
    task: Literal[TASKS]  # type: ignore[valid-type]
    dataset: Text
    method: Text = ''


class _Backbone(_Part):
    img_size: Sides = [224]
    patch_size: Pixels = 16


class _Model(_Part):
    backbone: _Backbone | None = None


class _Dataset(_Part):
    data_root: str | None = None
    ann_file: str | None = None
    data_prefix: Paths = {}
    metainfo: dict | None = None
    pipeline: list[dict] | None = None
    dataset: '_Dataset | None' = None  # inside of a wrapper such as RepeatDataset


class _Loader(_Part):
    dataset: _Dataset | None = None


_Config = create_model(  # type: ignore[call-overload]
    '_Config',
    __base__=_Part,
    run=_Run,
    model=_Model,
    load_from=(str | None, None),
    work_dir=(str | None, None),
    **dict.fromkeys(LOADERS, (_Loader | None, None)),
    **dict.fromkeys(EVALUATORS, (dict | list | None, None)),
    **dict.fromkeys(DICTS, (dict | None, None)),
)


def load_config(
    config: str | Path,
    *,
    work_dir: str | Path | None = None,
    seed: int | None = None,
    cfg_options: Mapping[str, object] | None = None,
    backbone: str | Path | None = None,
    check_data: bool = True,
) -> Config:
    """Read a config, apply the options of a command and check what can be checked at once.

    Args:
        config: a config file.
        work_dir: where the run is kept; ``work_dirs/<config>`` by default.
        seed: random seed, 0 to 2**32 - 1; that of the config, or 0, by default.
        cfg_options: changes of the config, by dotted name.
        backbone: checkpoint to start from, which must exist.
        check_data: whether the data must exist.

    Raises:
        UserError: no such file, a config that does not parse, or a setting that cannot work.
    """
    path = Path(config)
    cfg = read_config_file(path)
    if cfg_options:
        try:
            options = {k: str(v) if isinstance(v, Path) else v for k, v in cfg_options.items()}
            cfg.merge_from_dict(options)
        except Exception as error:  # options of any shape meet values of any shape
            raise UserError(
                f'--cfg-options do not fit {path}: {type(error).__name__}: {error!s:.200}'
            ) from error
    _check_types(cfg, path)
    follow_classes(cfg)
    follow_mask_branch(cfg)
    follow_encoder(cfg)
    cfg.work_dir = str(work_dir or Path('work_dirs') / path.stem)
    _check_work_dir(cfg.work_dir)
    randomness = cfg.get('randomness') or {}
    seed = seed if seed is not None else randomness.get('seed') or 0
    if type(seed) is not int or not 0 <= seed < 1 << 32:
        raise UserError(f'--seed must be an integer from 0 to 2**32 - 1, got {seed!s:.80}')
    cfg.randomness = dict(randomness, seed=seed)
    if backbone and (problem := checkpoint_problem(backbone)):
        raise UserError(f'--backbone {problem}')
    if cfg.get('load_from') and (problem := checkpoint_problem(cfg.load_from)):
        raise UserError(f'load_from {problem}')
    if check_data and (problem := next(data_problems(cfg), None)):
        raise UserError(problem)
    return cfg


def _check_types(cfg: Config, path: Path) -> None:
    """Check the types of the settings that are read here, and that there is a task and a model."""
    for name, example in (('run', 'dict(task=..., dataset=...)'), ('model', 'dict(type=...)')):
        if not cfg.get(name):
            raise UserError(f'config {path} has no {name}={example}: is it a base file?')
    try:
        parts = _Config.model_validate(
            {key: cfg[key] for key in cfg if key in _Config.model_fields}
        )
    except ValidationError as error:
        raise UserError(f'config {path}: {from_validation_error(error)}') from error
    backbone = parts.model.backbone  # type: ignore[attr-defined]
    if backbone:
        check_image_size(tuple(backbone.img_size), backbone.patch_size)


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


def data_problems(cfg: Config, loaders: tuple[str, ...] = LOADERS[:2]) -> Iterator[str]:
    """Yield one line for every folder and file that a loader will read and that is missing."""
    for name, dataset in loader_datasets(cfg, loaders).items():
        root = dataset.get('data_root') or ''
        prefix = dataset.get('data_prefix') or ''
        prefixes = list(prefix.values()) if isinstance(prefix, dict) else [prefix]
        for part in (dataset.get('ann_file') or '', *prefixes):
            if (root or part) and (problem := _path_problem(Path(root, part))):
                way = 'data_root'
                if root and part and part == prefix and not _path_problem(Path(root)):
                    way = f"data_prefix='' for the files in {root} itself"
                yield f'{name}: {Path(root, part)} {problem} or set {name}.dataset.{way}'
        default = '.jpg' if str(dataset.get('type')).endswith(JPEG_DATASETS) else None
        suffix = dataset.get('img_suffix', default)
        folder = prefix.get('img_path') if isinstance(prefix, dict) else None
        if not (suffix and folder) or dataset.get('ann_file'):
            continue
        if problem := _suffix_problem(Path(root, folder), suffix):
            yield f'{name}: {problem}'


def _suffix_problem(folder: Path, suffix: str) -> str | None:
    """Return which images MMSegmentation, which reads one suffix, would skip, or None."""
    names = [name for _, _, files in os.walk(folder) for name in files]
    read = sum(name.endswith(suffix) for name in names)
    endings = (os.path.splitext(name)[1] for name in names if not name.endswith(suffix))
    others = Counter(ending for ending in endings if ending.lower() in IMAGE_SUFFIXES)
    if others.total() <= (read + others.total()) * SKIPPED:
        return None
    ending, count = others.most_common(1)[0]
    way = f'set img_suffix={ending!r}' if not read else 'give all of them one ending'
    return f'{folder} has {read:,} images in {suffix}, and {count:,} in {ending} not read: {way}'


def _path_problem(path: Path) -> str | None:
    """Return why no images can be read from a file or folder, and what to do, or None."""
    refused: list[OSError] = []
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a zero byte
        return 'does not exist: put the data there'
    except OSError as error:
        refused.append(error)
    else:
        walk = os.walk(path, onerror=refused.append)
        if not path.is_dir() or any(files for _, _, files in walk):
            return None
    if refused:
        return f'cannot be read ({refused[0].strerror}): let this user read it'
    return 'is an empty folder, there are no images: put the data there'


def check_branch(branch: str, backbone: object) -> None:
    """Raise ``UserError`` where a branch is asked for of no checkpoint."""
    if branch != 'online' and not backbone:
        raise UserError(f'--branch {branch} needs --backbone FILE, a checkpoint of SymMIM')


def stated_weights(cfg: Config) -> str | None:
    """Return the checkpoint that a config itself starts from, if it names one."""
    parts = [part.get('init_cfg') for part in (cfg.model, cfg.model.get('backbone') or {})]
    stated = [init for init in parts if isinstance(init, dict) and init.get('type') == 'Pretrained']
    found = cfg.get('load_from') or next((init['checkpoint'] for init in stated), None)
    return os.path.expanduser(found) if found else None
