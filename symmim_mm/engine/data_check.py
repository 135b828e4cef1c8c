"""Check that the data fits the model, before anything else is built."""

import numpy as np
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import Dataset

from symmim_mm.checkpoint.mmengine import check_init_cfg
from symmim_mm.datasets.label_maps import count_labels, label_table
from symmim_mm.models.backbones.feature_pyramid import check_strides
from symmim_mm.utils.dist import on_main_rank, unwrap
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import listed

MOST_MAPS = 2000  # label maps that are read at the start, spread over the dataset


def check_data(runner: Runner) -> None:
    """Check the training and validation data of a runner against its model.

    Raises:
        UserError: a dataset is empty, smaller than one batch, or has other classes than the model
            or the other dataset, an epoch of it is too short for the warm-up, or nothing can be
            learned from its label maps.
    """
    model = unwrap(runner.model)
    check_strides(model)
    check_init_cfg(model)
    heads = {
        name: module.num_classes
        for name, module in model.named_modules()
        if isinstance(getattr(module, 'num_classes', None), int)
        # MMDetection's proposal heads know "object" only; MMPretrain's preprocessor is no head.
        and not any(part in name for part in ('rpn', 'loss', 'data_preprocessor'))
    }
    classes = None
    for split, loop in (('train', runner.train_loop), ('val', runner.val_loop)):
        if loop is None:
            continue
        named = (getattr(loop.dataloader.dataset, 'metainfo', None) or {}).get('classes')
        if classes and named and list(classes) != list(named):
            wrong = sorted(set(classes).symmetric_difference(named)) or ['their order']
            raise UserError(
                f'train and val data differ in classes, which are numbered by name: '
                f'{listed(wrong, 6)}; upper and lower case count'
            )
        classes = named
        check_dataset(loop.dataloader.dataset, split, heads)
        if len(loop.dataloader) == 0:
            accumulation = runner.cfg.optim_wrapper.get('accumulative_counts', 1)
            step = loop.dataloader.batch_size * accumulation * get_world_size()
            raise few_images(len(loop.dataloader.dataset), step)
    _check_warmup(runner)
    data = [loop.dataloader.dataset for loop in (runner.train_loop, runner.val_loop) if loop]
    if len({getattr(dataset, 'reduce_zero_label', None) for dataset in data}) > 1:
        raise UserError(
            'reduce_zero_label differs between training and validation: set it for the first alone'
        )
    if hasattr(data[0], 'reduce_zero_label'):
        on_main_rank(lambda: check_label_maps(data[0]))


def few_images(images: int, step: int) -> UserError:
    """Return the error for a training set of fewer images than an optimizer step takes."""
    return UserError(
        f'the train data has {images} images, fewer than one step of {step}: make recipe.batch '
        'smaller'
    )


def check_label_maps(dataset: Dataset) -> None:
    """Refuse label maps with fewer than two classes, and name classes that never occur.

    Raises:
        UserError: every labeled pixel is of one class, or there is none, as in masks of 0 and 255.
    """
    chosen = np.unique(np.linspace(0, len(dataset) - 1, MOST_MAPS).astype(int))
    part = dataset.get_subset(chosen.tolist()) if len(chosen) < len(dataset) else dataset
    stored = count_labels(part, raw=True).sum(axis=0)
    names = dataset.metainfo.get('classes') or ()
    table = label_table(dataset.get_data_info(0))
    pixels = np.bincount(table, weights=stored, minlength=256)[: len(names) or 255]
    values = np.flatnonzero(stored).tolist()
    if np.count_nonzero(pixels) < 2:
        way = 'check the label maps, classes and reduce_zero_label'
        if len(values) == 2 and values[0] == 0:
            way = (
                'in masks of an object the background is a class as well: store 0 and 1, name two '
                'classes, and set reduce_zero_label=False'
            )
        raise UserError(
            f'the label maps in {dataset.data_prefix.get("seg_map_path")} hold '
            f'{listed(list(map(str, values)), 5)}, which leaves '
            f'{"one class" if pixels.any() else "no labeled pixel"} and nothing to learn: {way}'
        )
    missing = [name for name, count in zip(names, pixels, strict=False) if not count]
    if missing and part is dataset:
        print_log(f'no pixel of the training data is {listed(missing, 5)}', 'current', level=30)


def _check_warmup(runner: Runner) -> None:
    iterations = len(runner.train_loop.dataloader)
    schedulers = runner.cfg.get('param_scheduler') or []
    for scheduler in [schedulers] if isinstance(schedulers, dict) else schedulers:
        end = scheduler.get('end')
        if not scheduler.get('convert_to_iter_based') or not isinstance(end, int | float):
            continue
        if int(scheduler.get('begin', 0) * iterations) >= int(end * iterations):
            raise UserError(
                f'{end} epochs are less than an iteration where an epoch has {iterations}: set '
                'recipe.warmup_epochs=0, or make recipe.batch smaller'
            )


def check_dataset(dataset: Dataset, split: str, heads: dict[str, int]) -> None:
    """Refuse an empty dataset of any library, or one of another number of classes than a head's.

    ``heads`` has these numbers by module name.
    """
    folder = _folder(dataset)
    if len(dataset) == 0:
        raise UserError(f'the {split} data has no images: {folder} is empty or of another layout')
    for step in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
        own = getattr(step, 'reduce_zero_label', None)
        if own not in (None, getattr(dataset, 'reduce_zero_label', own)):
            raise UserError(
                f'{type(step).__name__} of the {split} data has reduce_zero_label={own}, its '
                f'dataset {dataset.reduce_zero_label}: set it in the dataset only'
            )
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    # MMDetection's COCO class silently drops classes that the annotations do not have.
    known = getattr(dataset, 'cat_ids', None)
    if known is not None and classes and len(known) != len(classes):
        raise UserError(
            f'{dataset.ann_file} has {len(known)} of the {len(classes)} classes of the config '
            f'({", ".join(classes[:3])}, ...): set metainfo=dict(classes=...) to its categories'
        )
    if not classes:
        return
    for name, count in heads.items():
        if count != len(classes):
            raise UserError(
                f'{name} has num_classes={count}, but the {split} data at {folder} has '
                f'{len(classes)} classes: set num_classes={len(classes)}, or name your own in '
                'train_dataloader.dataset.metainfo.classes'
            )


def _folder(dataset: Dataset) -> str:
    prefix = getattr(dataset, 'data_prefix', None)
    if isinstance(prefix, dict):
        paths = [str(path) for path in prefix.values() if path]
        if paths:
            return paths[0]
    return str(getattr(dataset, 'img_prefix', None) or getattr(dataset, 'data_root', '') or '?')
