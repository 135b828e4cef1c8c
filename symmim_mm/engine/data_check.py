"""Check that the data fits the model, before anything else is built."""

from mmengine.runner import Runner
from torch.utils.data import Dataset

from symmim_mm.utils.dist import unwrap
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import listed


def check_data(runner: Runner) -> None:
    """Check the training and validation data of a runner against its model.

    Raises:
        UserError: a dataset is empty, smaller than one batch, or has other classes than the model
            or the other dataset, or an epoch
            of it is too short for the warm-up.
    """
    model = unwrap(runner.model)
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
            raise UserError(
                f'the {split} data has {len(loop.dataloader.dataset)} images, fewer than one '
                f'batch of {loop.dataloader.batch_size}: make recipe.batch smaller'
            )
    _check_warmup(runner)


def _check_warmup(runner: Runner) -> None:
    iterations = len(runner.train_loop.dataloader)
    for scheduler in runner.cfg.get('param_scheduler') or []:
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
                f'{len(classes)} classes: set num_classes={len(classes)}'
            )


def _folder(dataset: Dataset) -> str:
    prefix = getattr(dataset, 'data_prefix', None)
    if isinstance(prefix, dict):
        paths = [str(path) for path in prefix.values() if path]
        if paths:
            return paths[0]
    return str(getattr(dataset, 'img_prefix', None) or getattr(dataset, 'data_root', '') or '?')
