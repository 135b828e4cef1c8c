"""Detection on one's own images: a COCO annotation file and a folder."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from symmim_mm.apis.own_data import transfer
from symmim_mm.apis.own_data.backbone import choose_side
from symmim_mm.apis.own_data.coco_file import TRAINED_ON, CocoFile, open_coco
from symmim_mm.checkpoint.encoder import Encoder
from symmim_mm.planning.transfer_plan import TransferRecipe
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import counted, listed

MOST_SIDE = 1024  # pixels, as in the full recipe
FINEST_STRIDE = 4  # of the pyramid, in pixels, as there


def detect(
    annotations: str | Path,
    images: str | Path,
    *,
    val: Sequence[str | Path] | float | None = transfer.HELD_OUT,
    **options: Unpack[transfer.TransferOptions],
) -> Path:
    """Train Mask R-CNN on one's own images, and write a page of how well it detects.

    A file with boxes alone trains without the mask branch. The same call again continues an
    interrupted run, or finishes its page.

    Args:
        annotations: a file in COCO's format.
        images: the folder that its file names are relative to.
        val: another file and folder to validate on; or the share of the images to hold out; None
            for nothing.
        **options: see :class:`symmim_mm.apis.own_data.transfer.TransferOptions`.

    Returns:
        The page.

    Raises:
        UserError: data, options or a checkpoint that cannot work.
    """
    file, folder = Path(annotations), Path(images)
    own, train_share, val_share, line = transfer.open_validation(val, 2)

    def prepare(
        plan: Path, start: Encoder | None, options: transfer.TransferOptions
    ) -> transfer.Setup:
        trained = measured = whole = open_coco(file, folder)
        labels = options['labels']
        opened = [whole]
        parts: list[CocoFile] = []
        if own:
            measured = open_coco(own[0], own[1], whole.masks)
            opened.append(measured)
            if measured.classes != whole.classes:
                wrong = set(measured.classes).symmetric_difference(whole.classes)
                raise UserError(
                    f'{measured.file} has other classes than {file}, or in another order'
                    + (f': only one of them has {listed(sorted(wrong), 6)}' if wrong else '')
                )
        elif val is not None:
            trained = whole.part(train_share, plan / 'train.json')
            measured = whole.part(val_share, plan / 'val.json')
            parts = [trained, measured]
            for part, role in ((trained, 'to train on'), (measured, 'held out')):
                if not part.has_objects():
                    raise UserError(
                        f'{file}: none of the {len(part.content["images"])} images {role} has an '
                        'object: label more, hold out another share (--val 0.5) or none (--val '
                        'none), or name data to validate on (--val COCO.json IMAGES)'
                    )
        elif labels < 1:  # measured is what was trained on
            trained = measured = whole.labeled_part(labels, plan / 'train.json')
            labels, parts = 1.0, [trained]
        if not parts and measured.unmatched:
            measured = replace(measured, file=plan / 'val.json')
            parts = [measured]
        sides = np.array([(entry['width'], entry['height']) for entry in whole.content['images']])
        names = [entry['file_name'] for entry in whole.content['images']]
        backbone, _ = transfer.transfer_backbone(options, start, folder, names)
        unit = 2 * backbone.patch
        longer = float(np.median(sides.max(axis=1)))
        size = choose_side(options['image_size'], -(-int(longer) // unit) * unit, unit, MOST_SIDE)
        for part in parts:  # now that nothing is left to refuse
            part.write()

        return transfer.Setup(
            backbone, max(1, round(trained.annotated * labels)),
            partial(_parts, trained, measured, labels, backbone, size, size / longer),
            [
                f'{len(sides)} images, {len(whole.content["annotations"])} objects of '
                f'{counted(len(whole.classes), "class")} ({listed(whole.classes, 8)}), '
                + ('masks and boxes' if whole.masks else 'boxes without masks'),
                f'the model sees {size} pixels, the longer side of the images at most',
                line,
                *(f'left out: {part.left_out}' for part in opened if part.left_out),
            ],
        )  # fmt: skip

    data = dict(annotations=annotations, images=images, val=val)
    return transfer.run_transfer('detection', folder, prepare, data, **options)


def _parts(
    trained: CocoFile,
    measured: CocoFile,
    labels: float,
    backbone: Encoder,
    size: int,
    scale: float,
    recipe: TransferRecipe,
) -> dict[str, Any]:
    patch = backbone.patch
    grid = size // patch
    window = -(-grid // max(1, round(grid / 16)))  # about 16 patches, without padding
    factors = [f for f in (4, 2, 1, 0.5) if patch / f >= FINEST_STRIDE] or [1, 0.5]
    strides = [patch / factor for factor in factors]
    areas = [entry['bbox'][2] * entry['bbox'][3] for entry in trained.content['annotations']]
    most = max(Counter(entry['image_id'] for entry in trained.content['annotations']).values())
    # The finest level's anchors are as large as small objects, 32 pixels at most.
    small = float(np.percentile(np.sqrt(np.maximum(areas, 1)), 10)) * scale
    channels = min(256, max(64, backbone.width // 3))  # of 768 channels the published 256
    heads = dict(in_channels=channels, conv_out_channels=channels)
    # Without a mask head whatever loads or measures masks follows.
    roi_head: dict[str, Any] = dict(
        bbox_roi_extractor=dict(out_channels=channels, featmap_strides=strides),
        bbox_head=dict(heads, fc_out_channels=4 * channels),
    )
    roi_head['mask_head'] = heads if trained.masks else None
    if trained.masks:
        roi_head['mask_roi_extractor'] = dict(out_channels=channels, featmap_strides=strides)
    model = dict(
        data_preprocessor=dict(pad_size_divisor=size, **backbone.normalization),
        backbone=dict(out_indices=(backbone.layers - 1,), global_blocks=4, window_size=window),
        neck=dict(
            in_channels=backbone.width, out_channels=channels, scale_factors=factors,
            num_outs=len(factors) + 1,
        ),
        rpn_head=dict(
            in_channels=channels, feat_channels=channels,
            anchor_generator=dict(
                scales=[round(min(8, max(2, small / strides[0])), 1)],
                strides=[*strides, 2 * strides[-1]],
            ),
        ),
        roi_head=roi_head,
        # Proposals and regions of interest in proportion to the area.
        train_cfg=dict(
            rpn_proposal=dict(nms_pre=min(2000, max(500, 2 * size))),
            rcnn=dict(sampler=dict(num=min(512, max(64, size * size // 2048)))),
        ),
        test_cfg=dict(rcnn=dict(max_per_img=max(100, most))),
    )  # fmt: skip
    load = [dict(type='symmim_mm.LoadImageStrict')]
    crops = [
        dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='mmdet.RandomFlip', prob=0.5),
        dict(type='RandomResize', scale=(size, size), ratio_range=recipe.scales, keep_ratio=True,
             resize_type='mmdet.Resize', backend='pillow'),
        dict(type='mmdet.RandomCrop', crop_type='absolute', crop_size=(size, size),
             recompute_bbox=True, allow_negative_crop=True),
        dict(type='mmdet.FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2), by_mask=True,
             keep_empty=False),
        dict(type='mmdet.PackDetInputs'),
    ]  # fmt: skip
    whole = [
        dict(type='mmdet.Resize', scale=(size, size), keep_ratio=True, backend='pillow'),
        dict(type='mmdet.PackDetInputs',
             meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
    ]  # fmt: skip

    train = dict(trained.dataset, filter_cfg=TRAINED_ON, pipeline=load + crops)
    if labels < 1:
        train['labels'] = labels
    metric = dict(ann_file=str(measured.file.resolve()))
    return dict(
        _base_='detection/mask-rcnn_vit_{}_100ep_coco.py',
        model=model,
        train_dataloader=dict(dataset=train),
        val_dataloader=dict(dataset=dict(measured.dataset, pipeline=load + whole)),
        val_evaluator=metric,
        test_evaluator=metric,
        custom_hooks=[dict(type='symmim_mm.ImagesHook', kind='detection')],
    )
