"""Fine-tuning on one's own labeled images: class folders, or a list of paths and classes."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from symmim_mm.apis.own_data import transfer
from symmim_mm.apis.own_data.backbone import choose_side, load_settings
from symmim_mm.checkpoint.encoder import Encoder
from symmim_mm.datasets.survey import survey
from symmim_mm.planning.transfer_plan import TransferRecipe
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic
from symmim_mm.utils.text import listed

SPLITS = ('train', 'val')
FILL = [104, 116, 124]  # ImageNet's mean color, BGR, as in the full recipe


def finetune(
    data: str | Path,
    *,
    val: str | Path | float | None = transfer.HELD_OUT,
    **options: Unpack[transfer.TransferOptions],
) -> Path:
    """Fine-tune a classifier on one's own images, and write a page of how well it does.

    The same call again continues an interrupted run, or finishes its page.

    Args:
        data: a folder of class folders, alone or as ``train/`` next to ``val/``; or a text file
            with a path, relative to it, and a class on each line.
        val: a folder or list to validate on; or the share of ``data`` to hold out, balanced by
            class; None for nothing.
        **options: see :class:`symmim_mm.apis.own_data.transfer.TransferOptions`.

    Returns:
        The page.

    Raises:
        UserError: data, options or a checkpoint that cannot work.
    """
    source = Path(data)
    if all((source / split).is_dir() for split in SPLITS):
        val = source / 'val' if isinstance(val, float) else val
        source = source / 'train'
    title = transfer.data_name(source)

    def prepare(plan: Path, start: Encoder | None) -> transfer.Setup:
        labeled = _open(source, plan / 'train.txt')
        measured = labeled
        if isinstance(val, str | Path):
            measured = _open(Path(val), plan / 'val.txt', labeled.classes)
        labels = float(options.get('labels') or 1.0)
        train_share, val_share, line = transfer.held_out_shares(val)
        train_share = (0.0, train_share[1] * labels)
        backbone, _ = transfer.transfer_backbone(options, start, labeled.folder, labeled.images)
        size = choose_side(options.get('image_size'), backbone.image, backbone.patch, 10**6)
        counts = labeled.counts
        name = min(counts, key=counts.__getitem__)
        used, held = (
            round(counts[name] * stop) - round(counts[name] * start)
            for start, stop in (train_share, val_share)
        )
        if not used or not held:
            raise UserError(
                f'{source}: class {name} has {counts[name]} images, too few to train with '
                f'{train_share[1]:.0%} of them and to hold some out: label more, or give another '
                '--labels or --val'
            )

        return transfer.Setup(
            backbone, sum(round(count * train_share[1]) for count in counts.values()),
            transfer.data_name(source, labels),
            partial(_parts, labeled, measured, train_share, val_share, backbone, size),
            [
                f'{sum(counts.values())} images in {len(counts)} classes, '
                f'{min(counts.values())} to {max(counts.values())} each: '
                f'{listed(labeled.classes, 8)}',
                line,
            ],
        )  # fmt: skip

    arguments = dict(data=data, val=val)
    return transfer.run_transfer('finetune', title, prepare, arguments, **options)


@dataclass(frozen=True)
class _Labeled:
    """Labeled images: the config of their dataset, and the number of images by class."""

    folder: Path
    images: list[str]
    dataset: dict[str, Any]
    counts: Counter[str]

    @property
    def classes(self) -> list[str]:
        return list(self.counts)


def _open(source: Path, written: Path, classes: Sequence[str] | None = None) -> _Labeled:
    """Read a folder of class folders, or a list, which is written with class numbers.

    Raises:
        UserError: no labels there, or other classes than those given.
    """
    read = _read_list if source.is_file() else _read_folder
    images = read(source)
    counts = Counter(dict(sorted(Counter(images.values()).items())))
    if len(counts) < 2:
        raise UserError(f'{source} has {len(counts)} class, and a classifier needs two at least')
    if classes is not None and list(classes) != list(counts):
        wrong = sorted(set(classes).symmetric_difference(counts))
        raise UserError(
            f'{source} has other classes than the training images: only one of them has '
            f'{listed(wrong, 6)}; upper and lower case differ: rename or remove the folders'
        )
    root = source.parent if source.is_file() else source
    dataset: dict[str, Any] = dict(data_root=str(root.resolve()), data_prefix='')
    if source.is_file():
        numbers = {name: number for number, name in enumerate(counts)}
        lines = (f'{path} {numbers[name]}\n' for path, name in images.items())
        write_atomic(written, ''.join(lines))
        dataset |= dict(ann_file=str(written.resolve()), classes=list(counts))
    return _Labeled(root, list(images), dataset, counts)


def _read_folder(folder: Path) -> dict[str, str]:
    """Return the class of each image below a folder of class folders, by relative path."""
    images = survey(folder, sample=0).images
    if bare := [path for path in images if '/' not in path]:
        raise UserError(
            f'{folder}: {len(bare)} images are in no class folder, e.g. {bare[0]}: sort them into '
            'folders named by their classes, or give a list of paths and classes'
        )
    return {path: path.split('/')[0] for path in images}


def _read_list(file: Path) -> dict[str, str]:
    """Return the class of each image of a list, by path relative to it."""
    images: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding='utf-8').splitlines(), 1):
        if not line.strip():
            continue
        path, _, name = line.strip().replace('\t', ' ').replace(',', ' ').rpartition(' ')
        path = path.strip()
        if not path or not name:
            raise UserError(f'{file}, line {number}: not a path and a class: {line!r:.80}')
        if not os.path.isfile(file.parent / path):
            raise UserError(f'{file}, line {number}: no such image: {file.parent / path}')
        images[path] = name
    return images


def _parts(
    labeled: _Labeled,
    measured: _Labeled,
    train_share: tuple[float, float],
    val_share: tuple[float, float],
    backbone: Encoder,
    size: int,
    recipe: TransferRecipe,
) -> dict[str, Any]:
    crop = dict(
        type='symmim_mm.LoadRandomResizedCrop', scale=size, flip_prob=0.5,
        crop_ratio_range=(0.08 if recipe.strong else 0.35, 1.0), **load_settings(backbone.channels),
    )  # fmt: skip
    edge = size * 8 // 7 if size >= 160 else size  # 256 for 224
    center = [
        dict(type='symmim_mm.LoadImageStrict'),
        dict(type='mmpretrain.ResizeEdge', scale=edge, edge='short', backend='pillow',
             interpolation='bicubic'),
        dict(type='mmpretrain.CenterCrop', crop_size=size),
        dict(type='mmpretrain.PackInputs'),
    ]  # fmt: skip
    if backbone.channels != 3:  # Pillow, which resizes images of 3, knows no others
        center[:-1] = [
            dict(type='symmim_mm.LoadCenterCrop', edge=edge, crop=size, channels=backbone.channels)
        ]
    # RandAugment changes colors of RGB.
    strong: list[dict] = [] if not recipe.strong or backbone.channels != 3 else [
        dict(type='mmpretrain.RandAugment', policies='timm_increasing', num_policies=2,
             total_level=10, magnitude_level=9, magnitude_std=0.5,
             hparams=dict(pad_val=FILL, interpolation='bicubic')),
    ]  # fmt: skip
    crop |= dict(layout='hwc') if strong else {}
    model: dict[str, Any] = dict(
        backbone=dict(img_size=size),
        head=dict(num_classes=len(labeled.classes), in_channels=backbone.width),
    )
    if not recipe.strong:
        model |= dict(train_cfg=None)  # no mixing of images, which few steps cannot use
    train: dict[str, Any] = dict(
        labeled.dataset, pipeline=[crop, *strong, dict(type='mmpretrain.PackInputs')]
    )
    val: dict[str, Any] = dict(measured.dataset, pipeline=center)
    if train_share != (0.0, 1.0):
        train['labels'] = train_share
    if val_share != (0.0, 1.0):
        val['labels'] = val_share
    return dict(
        _base_='classification/vit_{}_finetune_imagenet.py',
        data_preprocessor=backbone.normalization,
        model=model,
        train_dataloader=dict(dataset=train),
        val_dataloader=dict(dataset=val),
    )
