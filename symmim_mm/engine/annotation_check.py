"""Check of COCO files that would crash or spoil a run, before a library reads them."""

import os
from collections.abc import Iterator, Sequence

from mmengine.config import Config
from mmengine.fileio import get_local_path, join_path
from mmengine.utils import is_abs

from symmim_mm.config.mask_branch import measures_masks
from symmim_mm.datacheck.coco.annotation_file import NAMES
from symmim_mm.datacheck.coco.instances import Instances, check_instances
from symmim_mm.datacheck.kinds import MEANINGS
from symmim_mm.datacheck.report import NAMED, Report
from symmim_mm.utils.dist import on_main_rank
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import listed, short

# The kinds of findings that stop a run: they crash it, or spoil what it learns. Instances of other
# kinds are left out by MMDetection, as a few of COCO's own.
REFUSED = (
    'unreadable', 'json', 'json-layout', 'no-images', 'duplicate-id', 'box-systematic',
    'segmentation-empty', 'rle',
)  # fmt: skip
REFUSED_IN_TRAINING = (*REFUSED, 'no-instances')
LEFT_OUT = ('unknown-image', 'unknown-category', 'box-outside', 'box-small', 'polygon-short')
SHOWN = 300  # characters of a finding, which may hold a whole entry of the file


def check_annotations(cfg: Config, splits: Sequence[str]) -> None:
    """Check what the annotation files of a run say, without looking at the images.

    Rank 0 reads the files, and all ranks refuse together.

    Args:
        cfg: of the run; a split that it does not have is skipped.
        splits: some of ``train``, ``val`` and ``test``.

    Raises:
        UserError: the first finding of the first file that cannot be used, and how many of its
            kind there are.
    """

    def check() -> None:
        for path, (reader, kinds) in _files(cfg, splits).items():
            instances = _check_file(path, reader.get('backend_args'), kinds, measures_masks(cfg))
            if kinds is REFUSED_IN_TRAINING:
                _check_left(path, reader, instances)

    on_main_rank(check)


def _files(cfg: Config, splits: Sequence[str]) -> dict[str, tuple[dict, tuple[str, ...]]]:
    """Return, by path, the config that names a file and the kinds to refuse in it."""
    files: dict[str, tuple[dict, tuple[str, ...]]] = {}
    for split in splits:
        loader, metrics = cfg.get(f'{split}_dataloader'), cfg.get(f'{split}_evaluator')
        metrics = metrics if isinstance(metrics, list) else [metrics]
        readers = [
            *_coco_datasets((loader or {}).get('dataset')),
            *(metric for metric in metrics if _is(metric, 'CocoMetric')),
        ]
        for reader in readers:
            if path := reader.get('ann_file'):
                if not is_abs(path):
                    path = join_path(reader.get('data_root') or '', path)
                kinds = REFUSED_IN_TRAINING if split == 'train' else REFUSED
                files.setdefault(path, (reader, kinds))
    return files


def _is(part: object, name: str) -> bool:
    return isinstance(part, dict) and str(part.get('type')).rpartition('.')[2] == name


def _coco_datasets(dataset: object) -> Iterator[dict]:
    """Yield a dataset's config, or those of its parts, as far as they are COCO's."""
    if _is(dataset, 'CocoDataset'):
        yield dataset
    elif isinstance(dataset, dict):
        for inner in (dataset.get('dataset'), *dataset.get('datasets', ())):
            yield from _coco_datasets(inner)


def _check_file(
    path: str, backend_args: dict | None, kinds: Sequence[str], masks: bool
) -> Instances:
    with get_local_path(path, backend_args=backend_args) as local:
        report = Report('coco', os.path.dirname(local))
        instances = check_instances(str(report.root), os.path.basename(local), report, masks)
    refuse(path, report, kinds, 'tools/check_dataset.py coco', 'set model.roi_head.mask_head=None')
    return instances


def refuse(
    path: str | os.PathLike, report: Report, kinds: Sequence[str], finder: str, boxes_alone: str
) -> None:
    """Refuse an annotation file of which a report has findings of some kinds.

    Args:
        path: of the file.
        report: on it.
        kinds: to refuse; the first that there is is named.
        finder: command that finds all that is wrong.
        boxes_alone: how to train without masks.

    Raises:
        UserError: the first finding of a kind, and how many of it there are.
    """
    for kind in kinds:
        if not report.numbers[kind]:
            continue
        text, means = _first(report, kind), MEANINGS[kind]
        what = f'{text} ({kind}: {means})' if text else means
        if kind == 'no-instances' and (why := left_out(report)):
            what += f'; {why}'
        way = f'fix it; {finder} finds all that is wrong'
        if kind == 'segmentation-empty':
            way += f'; to learn boxes alone, {boxes_alone}'
        raise UserError(f'{path}: {what}: {way}')


def left_out(report: Report) -> str:
    """Return which annotations MMDetection leaves out, the first of each kind; '' for none."""
    return '; '.join(f'{kind}: {_first(report, kind)}' for kind in LEFT_OUT if report.numbers[kind])


def _first(report: Report, kind: str) -> str:
    """Return the first finding of a kind, cut where it is long, and how many more there are."""
    text, more = short(report.findings[kind][0][1], SHOWN), report.numbers[kind] - 1
    return f'{text} and {more:,} more' if text and more else text


def _check_left(path: str, dataset: dict, instances: Instances) -> None:
    """Refuse a file of which MMDetection's filter leaves no image to train on."""
    classes = (dataset.get('metainfo') or {}).get('classes', NAMES)
    known = instances.categories.values()
    if not isinstance(classes, str) and set(classes).isdisjoint(known):
        raise UserError(
            f'{path} has none of the classes of the config, its own are '
            f'{listed(list(known), NAMED)}: set '
            'train_dataloader.dataset.metainfo.classes to those to learn, the rest follows'
        )
    least = (dataset.get('filter_cfg') or {}).get('min_size', 0)
    if all(min(instances.images[key][1]) < least for key in instances.annotated):
        raise UserError(
            f'{path}: every annotated image has a side below {least} pixels, which '
            'train_dataloader.dataset.filter_cfg.min_size leaves out: make it smaller'
        )
