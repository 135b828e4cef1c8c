"""Semantic segmentation on one's own images: a folder of images and one of label maps."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from symmim_mm.apis.own_data import transfer
from symmim_mm.apis.own_data.backbone import choose_side
from symmim_mm.apis.own_data.map_folder import MapFolder, open_maps
from symmim_mm.checkpoint.encoder import Encoder
from symmim_mm.datasets.folder_scan import EXTENSIONS
from symmim_mm.datasets.transforms.decode import IGNORED
from symmim_mm.planning.transfer_plan import TransferRecipe
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import listed

MOST_SIDE = 512  # pixels, as in the full recipe


def segment(
    images: str | Path,
    masks: str | Path,
    *,
    val: Sequence[str | Path] | float | None = transfer.HELD_OUT,
    **options: Unpack[transfer.TransferOptions],
) -> Path:
    """Train UperNet on one's own images, and write a page of how well it segments.

    The same call again continues an interrupted run, or finishes its page.

    Args:
        images: a folder of images.
        masks: a folder of label maps by the same names, with any ending: the value of a pixel is
            its class, 255 is ignored; maps of 0 and 255 alone are background and object.
        val: two other folders to validate on; or the share of the images to hold out; None for
            nothing.
        **options: see :class:`symmim_mm.apis.own_data.transfer.TransferOptions`.

    Returns:
        The page.

    Raises:
        UserError: data, options or a checkpoint that cannot work.
    """
    own, train_share, val_share, line = transfer.open_validation(val, 2)

    def prepare(
        plan: Path, start: Encoder | None, options: transfer.TransferOptions
    ) -> transfer.Setup:
        labels = options['labels']
        trained = measured = whole = open_maps(Path(images), Path(masks), plan / 'all.txt')
        if own:
            measured = open_maps(own[0], own[1], plan / 'val.txt')
            if extra := set().union(*measured.found) - {*whole.values, IGNORED}:
                raise UserError(
                    f'{measured.masks} has the values {listed(list(map(str, sorted(extra))), 6)}, '
                    f'which {masks} does not have: classes must occur in the training maps'
                )
        elif val is not None:
            train, held_out = whole.split(train_share, val_share)
            trained = whole.part(train, plan / 'train.txt')
            measured = whole.part(held_out, plan / 'val.txt')
        backbone, side = transfer.transfer_backbone(options, start, whole.images, whole.files)
        size = choose_side(options['image_size'], side, 2 * backbone.patch, MOST_SIDE)

        lines = [
            f'{len(whole.files)} images with label maps, {len(whole.classes)} classes '
            f'({listed(whole.classes, 8)}), crops of {size} pixels',
            line,
        ]
        if whole.suffix.lower() not in EXTENSIONS:
            lines.append(f'label maps are called as their images, followed by {whole.suffix}')
        if trained.absent:
            lines.append(
                f'no image to train on has {listed(trained.absent, 8)}: label more of them, as the '
                'model cannot learn what it does not see'
            )
        if whole.bare:
            lines.append(
                f'{len(whole.bare)} images have no label map and are left out, e.g. {whole.bare[0]}'
            )
        return transfer.Setup(
            backbone, max(1, round(len(trained.files) * labels)),
            partial(_parts, trained, measured, labels, backbone, size), lines,
        )  # fmt: skip

    data = dict(images=images, masks=masks, val=val)
    return transfer.run_transfer('segmentation', Path(images), prepare, data, **options)


def _parts(
    trained: MapFolder,
    measured: MapFolder,
    labels: float,
    backbone: Encoder,
    size: int,
    recipe: TransferRecipe,
) -> dict[str, Any]:
    width, depth = backbone.width, backbone.layers
    # As 3, 5, 7, 11 of twelve; four different ones of four layers, too.
    taps = tuple(max(at, depth * part // 12 - 1) for at, part in enumerate((4, 6, 8, 12)))
    channels = min(256, max(64, width // 3))  # of 768 channels the published 256
    model: dict[str, Any] = dict(
        data_preprocessor=dict(size=(size, size), **backbone.normalization),
        backbone=dict(img_size=size, out_indices=taps),
        neck=dict(
            embed_dim=width, rescales=[4, 2, 1, 0.5] if backbone.patch > 8 else [2, 1, 0.5, 0.25]
        ),
        decode_head=dict(in_channels=[width] * 4, channels=width),
        auxiliary_head=dict(in_channels=width, channels=channels),
        test_cfg=dict(crop_size=(size, size), stride=(size * 2 // 3, size * 2 // 3)),
    )
    load = dict(type='symmim_mm.LoadImageStrict')
    maps = dict(type='symmim_mm.LoadLabelMap', classes=len(trained.classes))
    scale = (4 * size, size)
    crops: list[dict] = [
        load,
        maps,
        dict(type='RandomResize', scale=scale, ratio_range=recipe.scales, keep_ratio=True),
        dict(type='mmseg.RandomCrop', crop_size=(size, size), cat_max_ratio=0.75),
        dict(type='mmseg.RandomFlip', prob=0.5),
        dict(type='mmseg.PhotoMetricDistortion'),
        dict(type='mmseg.PackSegInputs'),
    ]
    whole: list[dict] = [
        load,
        dict(type='mmseg.Resize', scale=scale, keep_ratio=True),
        maps,  # after the resizing: the metric compares at the size of the annotation
        dict(type='mmseg.PackSegInputs'),
    ]

    def dataset(source: MapFolder, pipeline: list[dict], **more: float) -> dict[str, Any]:
        return dict(
            type='symmim_mm.SegmentationFolder', values=trained.values, data_root='',
            ann_file=str(source.names.resolve()),
            data_prefix=dict(
                img_path=str(source.images.resolve()), seg_map_path=str(source.masks.resolve())
            ),
            img_suffix=os.path.splitext(source.files[0])[1], seg_map_suffix=source.suffix,
            metainfo=dict(classes=tuple(trained.classes)), reduce_zero_label=False,
            pipeline=pipeline, **more,
        )  # fmt: skip

    share = dict(labels=labels) if labels < 1 else {}
    return dict(
        _base_='segmentation/upernet_vit_{}_160k_ade20k.py',
        model=model,
        test_pipeline=whole,
        train_dataloader=dict(dataset=dataset(trained, crops, **share)),
        # Where nothing is held out, what was trained on is measured.
        val_dataloader=dict(
            dataset=dataset(measured, whole, **(share if measured is trained else {}))
        ),
        custom_hooks=[dict(type='symmim_mm.ImagesHook', kind='segmentation')],
    )
