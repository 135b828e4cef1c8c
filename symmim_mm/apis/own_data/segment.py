"""Semantic segmentation on one's own images: a folder of images and one of label maps."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from symmim_mm.apis.own_data import transfer
from symmim_mm.apis.own_data.backbone import choose_side
from symmim_mm.checkpoint.encoder import Encoder
from symmim_mm.datasets.label_maps import read_label_map
from symmim_mm.datasets.label_share import choose_part
from symmim_mm.datasets.survey import survey
from symmim_mm.datasets.transforms.decode import IGNORED
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.planning.transfer_plan import TransferRecipe
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic
from symmim_mm.utils.host import available_cores
from symmim_mm.utils.text import listed

MOST_SIDE = 512  # pixels, as in the full recipe


def segment(
    images: str | Path,
    masks: str | Path,
    *,
    val: tuple[str | Path, str | Path] | float | None = transfer.HELD_OUT,
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

    def prepare(plan: Path, start: Encoder | None) -> transfer.Setup:
        labels = float(options.get('labels') or 1.0)
        train_share, val_share, line = transfer.held_out_shares(val)
        trained = measured = whole = _open(Path(images), Path(masks), plan / 'all.txt')
        if isinstance(val, tuple):
            measured = _open(Path(val[0]), Path(val[1]), plan / 'val.txt')
            if extra := set(measured.values) - set(whole.values):
                raise UserError(
                    f'{measured.masks} has the values {listed(sorted(map(str, extra)), 6)}, which '
                    f'{masks} does not have: classes must occur in the training maps'
                )
        elif val is not None:
            trained = whole.part(train_share, plan / 'train.txt')
            measured = whole.part(val_share, plan / 'val.txt')
        backbone, side = transfer.transfer_backbone(options, start, whole.images, whole.files)
        size = choose_side(options.get('image_size'), side, 2 * backbone.patch, MOST_SIDE)

        lines = [
            f'{len(whole.files)} images with label maps, {len(whole.classes)} classes '
            f'({listed(whole.classes, 8)}), crops of {size} pixels',
            line,
        ]
        if whole.bare:
            lines.append(
                f'{len(whole.bare)} images have no label map and are left out, e.g. {whole.bare[0]}'
            )
        return transfer.Setup(
            backbone, max(1, round(len(trained.files) * labels)),
            transfer.data_name(Path(images), labels),
            lambda recipe: _parts(trained, measured, labels, backbone, size, recipe), lines,
        )  # fmt: skip

    return transfer.run_transfer(
        'segmentation', transfer.data_name(Path(images)), prepare, **options
    )


@dataclass(frozen=True)
class _Maps:
    """Images with label maps."""

    images: Path  # the folders
    masks: Path
    files: list[str]  # images with a label map, below the folder
    found: list[set[int]]  # the values of each of these maps
    bare: list[str]  # images without
    suffix: str  # what follows an image's name without its ending in that of the label map
    names: Path  # file with the names without ending, one a line

    @property
    def values(self) -> list[int]:
        """The values that are classes: all but 255, unless the maps hold 0 and 255 alone."""
        found = set().union(*self.found)
        return sorted(found if found == {0, IGNORED} else found - {IGNORED})

    @property
    def classes(self) -> list[str]:
        if self.values in ([0, 1], [0, IGNORED]):
            return ['background', 'object']
        return [f'class {value}' for value in self.values]

    def part(self, share: tuple[float, float], names: Path) -> '_Maps':
        """Write the names of a share of the images into another file."""
        order = range(len(self.files))
        kept = sorted(choose_part(order, self.files.__getitem__, share, least=1))
        files = [self.files[number] for number in kept]
        write_atomic(names, ''.join(os.path.splitext(file)[0] + '\n' for file in files))
        return replace(
            self, files=files, found=[self.found[number] for number in kept], names=names
        )


def _open(images: Path, masks: Path, names: Path) -> _Maps:
    """Pair images with label maps by name, and read the values of all maps.

    Raises:
        UserError: no pairs, several endings of images, or maps that cannot be used.
    """
    files = survey(images, sample=0).images
    maps = set(survey(masks, sample=0).images)
    endings = Counter(os.path.splitext(path)[1] for path in files)
    if len(endings) > 1:
        raise UserError(
            f'{images} has images that end in {listed(list(endings), 4)}: MMSegmentation reads '
            'one ending at a time; convert or rename them'
        )
    stems = {os.path.splitext(path)[0]: path for path in files}
    # How maps' names continue after those of their images: what most images have counts.
    first = [stem for stem in list(stems)[:50]]
    ways = Counter(path[len(stem) :] for stem in first for path in maps if path.startswith(stem))
    suffix = max(ways, key=lambda way: sum(stem + way in maps for stem in stems), default='')
    paired = [stem for stem in stems if suffix and stem + suffix in maps]
    if 2 * len(paired) < len(stems):
        raise UserError(
            f'{len(paired)} of the {len(stems)} images of {images} have a label map of the same '
            f'name in {masks}, e.g. {files[0]} has none: name both alike'
        )
    with ThreadPoolExecutor(available_cores()) as pool:
        try:
            found = list(pool.map(lambda stem: _values(masks / (stem + suffix)), paired))
        except ImageError as error:
            raise UserError(str(error)) from error
    write_atomic(names, '\n'.join(paired) + '\n')
    bare = sorted(stems.keys() - set(paired))
    maps_found = _Maps(images, masks, [stems[stem] for stem in paired], found, bare, suffix, names)
    if len(maps_found.values) < 2:
        raise UserError(
            f'{masks}: no label map has more than one class, '
            f'{listed(list(map(str, maps_found.values)), 2)}: there is nothing to tell apart'
        )
    return maps_found


def _values(path: Path) -> set[int]:
    return set(np.flatnonzero(np.bincount(read_label_map(str(path)).ravel())).tolist())


def _parts(
    trained: _Maps,
    measured: _Maps,
    labels: float,
    backbone: Encoder,
    size: int,
    recipe: TransferRecipe,
) -> dict[str, Any]:
    width, depth = backbone.width, backbone.layers
    taps = tuple(depth * part // 12 - 1 for part in (4, 6, 8, 12))  # as 3, 5, 7, 11 of twelve
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

    def dataset(source: _Maps, pipeline: list[dict], **more: float) -> dict[str, Any]:
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

    return dict(
        _base_='segmentation/upernet_vit_{}_160k_ade20k.py',
        model=model,
        test_pipeline=whole,
        train_dataloader=dict(
            dataset=dataset(trained, crops, **(dict(labels=labels) if labels < 1 else {}))
        ),
        val_dataloader=dict(dataset=dataset(measured, whole)),
        custom_hooks=[dict(type='symmim_mm.ImagesHook', kind='segmentation')],
    )
