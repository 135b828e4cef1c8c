"""The quickstart's configs on other data: as options of a command, and as config files."""

from pathlib import Path

from paths import ROOT

LAYOUTS = {'mask_rcnn': 'coco', 'upernet': 'ade20k', 'linear_segmentation': 'ade20k'}


def data_settings(name: str, data: Path) -> dict[str, str]:
    """Return the settings, by dotted names, with which a config reads the sample data ``data``."""
    root = data / LAYOUTS.get(name, 'imagenet')
    pretrains = name.endswith('pretrain')
    readers = ['train_dataloader', 'default_hooks.images']
    readers = (
        readers if pretrains else [f'{split}_dataloader' for split in ('train', 'val', 'test')]
    )
    found = {f'{reader}.dataset.data_root': str(root) for reader in readers}
    if name == 'mask_rcnn':
        annotations = str(root / 'annotations' / 'instances_val2017.json')
        found |= {f'{split}_evaluator.ann_file': annotations for split in ('val', 'test')}
    return found


def data_options(name: str, data: Path) -> list[str]:
    """Return these settings as words after ``--cfg-options``."""
    return [f'{key}={value}' for key, value in data_settings(name, data).items()]


def write_config(folder: Path, name: str, data: Path, *changes: str) -> str:
    """Write a config that inherits one of the quickstart's and reads the sample data ``data``.

    Each of ``changes`` is a file that inherits the one before, the last being ``NAME.py``.
    """
    placed = []
    for key, value in data_settings(name, data).items():
        first, *others = key.split('.')
        text = repr(value)
        for part in reversed(others):
            text = f'dict({part}={text})'
        placed.append(f'{first} = {text}')
    files = [f'{name}_{number}.py' for number in range(len(changes))] + [f'{name}.py']
    base = f'{ROOT}/configs/quickstart/{name}.py'
    for file, text in zip(files, ('\n'.join(placed), *changes), strict=True):
        (folder / file).write_text(f"_base_ = ['{base}']\n{text}\n")
        base = str(folder / file)
    return base
