"""Fine-tuning on one's own labeled images: class folders, or a list of paths and classes."""

from functools import partial
from pathlib import Path
from typing import Any, Unpack

from symmim_mm.apis.own_data import transfer
from symmim_mm.apis.own_data.backbone import choose_side, load_settings
from symmim_mm.apis.own_data.class_data import (
    Default,
    Labeled,
    Validation,
    choose_parts,
    open_labeled,
)
from symmim_mm.checkpoint.encoder import Encoder
from symmim_mm.planning.transfer_plan import TransferRecipe
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import listed

FILL = [104, 116, 124]  # ImageNet's mean color, BGR, as in the full recipe


def finetune(
    data: str | Path,
    *,
    val: Validation | Default = Default.VAL,
    **options: Unpack[transfer.TransferOptions],
) -> Path:
    """Fine-tune a classifier on one's own images, and write a page of how well it does.

    The same call again continues an interrupted run, or finishes its page.

    Args:
        data: a folder of class folders, alone or as ``train/`` next to ``val/``, ``valid/``,
            ``validation/`` or ``test/``; or a text file with a path, relative to it, and a class on
            each line.
        val: a folder or list to validate on; or the share of ``data`` to hold out, balanced by
            class; None for nothing. By default the part next to ``train/``, else a fifth.
        **options: see :class:`symmim_mm.apis.own_data.transfer.TransferOptions`.

    Returns:
        The page.

    Raises:
        UserError: data, options or a checkpoint that cannot work.
    """
    source, val, chosen = choose_parts(Path(data), val, transfer.HELD_OUT)
    own, train_share, val_share, line = transfer.open_validation(val, 1)

    def prepare(
        plan: Path, start: Encoder | None, options: transfer.TransferOptions
    ) -> transfer.Setup:
        labeled = measured = open_labeled(source, plan / 'train.txt')
        if own:
            measured = open_labeled(own[0], plan / 'val.txt', labeled.classes)
        learned = (0.0, train_share[1] * options['labels'])
        held_out = learned if val is None else val_share  # measured is what was trained on
        backbone, _ = transfer.transfer_backbone(options, start, labeled.folder, labeled.images)
        size = choose_side(options['image_size'], backbone.image, backbone.patch, 10**6)
        counts = labeled.counts
        name = min(counts, key=counts.__getitem__)
        used, held = (
            round(counts[name] * stop) - round(counts[name] * start)
            for start, stop in (learned, held_out)
        )
        if not used or not held:
            raise UserError(
                f'{source}: class {name} has {counts[name]} images, too few to train with '
                f'{learned[1]:.0%} of them and to hold some out: label more, or give another '
                '--labels or --val'
            )

        return transfer.Setup(
            backbone, sum(round(count * learned[1]) for count in counts.values()),
            partial(_parts, labeled, measured, learned, held_out, backbone, size),
            [
                f'{sum(counts.values())} images in {len(counts)} classes, '
                f'{min(counts.values())} to {max(counts.values())} each: '
                f'{listed(labeled.classes, 8)}',
                *chosen, line,
            ],
        )  # fmt: skip

    return transfer.run_transfer('finetune', source, prepare, dict(data=data, val=val), **options)


def _parts(
    labeled: Labeled,
    measured: Labeled,
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
