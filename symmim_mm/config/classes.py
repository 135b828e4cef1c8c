"""Own classes are stated once: by the training data, of a classifier by its head."""

from collections.abc import Iterator, Sequence

from mmengine.config import Config

from symmim_mm.utils.errors import UserError

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
MAPS = ('reduce_zero_label', 'img_suffix', 'seg_map_suffix')  # how MMSegmentation reads label maps
PUBLIC = (80, 150)  # numbers of classes of COCO and ADE20K, with which the full recipes are written


def inner_dataset(dataset: dict) -> dict:
    """Return the config inside of wrappers such as ``RepeatDataset``."""
    while dataset.get('dataset'):
        dataset = dataset['dataset']
    return dataset


def loader_datasets(cfg: Config, loaders: Sequence[str] = LOADERS) -> dict[str, dict]:
    """Return the configs of the datasets that there are, without wrappers, by loader."""
    found = {name: (cfg.get(name) or {}).get('dataset') for name in loaders}
    return {name: inner_dataset(dataset) for name, dataset in found.items() if dataset}


def follow_classes(cfg: Config) -> None:
    """Let all that depends on the classes follow ``train_dataloader.dataset.metainfo.classes``.

    In detection and segmentation these are ``metainfo`` of the other datasets, ``num_classes`` of
    the heads and ``classes`` of ``LoadLabelMap``, where they are not set or still those of the
    public dataset. Classes that are not ADE20K's make a ``BaseSegDataset`` of its class, with the
    same layout. How label maps are read (``MAPS``) follows the training data as well. In a
    classifier the preprocessor's number and the top-k of the accuracy follow
    ``model.head.num_classes``.

    Raises:
        UserError: one of them was set to something else.
    """
    if cfg.run.task in ('finetune', 'linear', 'attentive'):
        _follow_head(cfg)
        return
    datasets = loader_datasets(cfg)
    train = datasets.get('train_dataloader', {})
    for dataset in datasets.values():
        for key in MAPS:
            if key in train:
                dataset.setdefault(key, train[key])
    metainfo = train.get('metainfo') or {}
    classes = metainfo.get('classes')
    if not isinstance(classes, list | tuple) or cfg.run.task == 'pretrain':
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
        if str(dataset.get('type')).endswith('ADE20KDataset'):
            from mmseg.utils import ade_classes

            if not set(classes) <= set(ade_classes()):
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


def _follow_head(cfg: Config) -> None:
    """Fill in what follows from a classifier's head, and refuse what contradicts it."""
    head = cfg.model.get('head')
    count = head.get('num_classes') if isinstance(head, dict) else None
    if type(count) is not int:
        return
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    if isinstance(preprocessor, dict):
        stated = preprocessor.setdefault('num_classes', count)
        if stated != count:
            raise UserError(
                f'data_preprocessor.num_classes={stated!s:.20}, but model.head.num_classes='
                f'{count}: leave the former out, it follows from the latter'
            )
    for name in ('val_evaluator', 'test_evaluator'):
        metrics = cfg.get(name)
        for metric in metrics if isinstance(metrics, list | tuple) else [metrics]:
            if not isinstance(metric, dict) or str(metric.get('type')).split('.')[-1] != 'Accuracy':
                continue
            topk = metric.setdefault('topk', (1, 5) if count > 5 else (1,))
            numbers = topk if isinstance(topk, list | tuple) else [topk]
            if any(type(k) is not int or not 1 <= k <= count for k in numbers):
                raise UserError(
                    f'{name}.topk={topk!s:.80} does not fit the {count} classes of model.head: '
                    'leave it out, it follows'
                )


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
