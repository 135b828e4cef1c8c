"""Own classes of detection and segmentation: named once, in the training data."""

from collections.abc import Iterator

from mmengine.config import Config

from symmim_mm.utils.errors import UserError

PUBLIC = (80, 150)  # numbers of classes of COCO and ADE20K, with which the full recipes are written


def inner_dataset(dataset: dict) -> dict:
    """Return the config inside of wrappers such as ``RepeatDataset``."""
    while dataset.get('dataset'):
        dataset = dataset['dataset']
    return dataset


def follow_classes(cfg: Config) -> None:
    """Let all that depends on the classes follow ``train_dataloader.dataset.metainfo.classes``.

    These are ``metainfo`` of the other datasets, ``num_classes`` of the heads and ``classes`` of
    ``LoadLabelMap``, where they are not set or still those of the public dataset. Classes that are
    not ADE20K's make a ``BaseSegDataset`` of its class, with the same layout.

    Raises:
        UserError: one of them was set to something else.
    """
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    datasets = {
        name: inner_dataset(cfg[name].dataset)
        for name in loaders
        if isinstance((cfg.get(name) or {}).get('dataset'), dict)
    }
    metainfo = datasets.get('train_dataloader', {}).get('metainfo') or {}
    classes = metainfo.get('classes')
    if not isinstance(classes, list | tuple) or cfg.run.task in ('pretrain', 'finetune', 'linear'):
        return
    for name, dataset in datasets.items():
        own = (dataset.get('metainfo') or {}).get('classes')
        if own is None:
            dataset['metainfo'] = metainfo
        elif list(own) != list(classes):
            raise UserError(
                f'{name}.dataset.metainfo names other classes than train_dataloader: '
                'name them in train_dataloader only'
            )
        if str(dataset.get('type')).endswith('ADE20KDataset') and not _are_of_ade20k(classes):
            dataset['type'] = 'mmseg.BaseSegDataset'
            dataset.setdefault('reduce_zero_label', True)
    for where, part, key in _counts(cfg, datasets):
        if part[key] in PUBLIC:
            part[key] = len(classes)
        elif part[key] != len(classes):
            raise UserError(
                f'{where}.{key}={part[key]}, but train_dataloader.dataset.metainfo names '
                f'{len(classes)} classes: leave it out, it follows them'
            )


def _are_of_ade20k(classes: list[str] | tuple[str, ...]) -> bool:
    from mmseg.utils import ade_classes

    return set(classes) <= set(ade_classes())


def _counts(cfg: Config, datasets: dict[str, dict]) -> Iterator[tuple[str, dict, str]]:
    """Yield where a number of classes is set: name, config and key."""
    for name, dataset in datasets.items():
        for step in dataset.get('pipeline') or ():
            if str(step.get('type')).endswith('LoadLabelMap') and step.get('classes'):
                yield f'{name}.dataset.pipeline: {step["type"]}', step, 'classes'
    parts = [('model', cfg.model)]
    while parts:
        where, part = parts.pop()
        if isinstance(part.get('num_classes'), int) and not where.endswith(('rpn_head', 'loss')):
            yield where, part, 'num_classes'
        parts += [
            (f'{where}.{key}', value) for key, value in part.items() if type(value) is type(part)
        ]
