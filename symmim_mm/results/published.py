"""Published results, each with its source. Numbers are percent.

They are data to stand beside results of our own on the same data sets, never mixed into them.
``size`` is the ViT's size (S, B or L), ``epochs`` the length of pre-training where stated.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published number: ``value`` (percent) of ``metric`` in ``task`` on ``dataset``."""

    method: str
    size: str
    epochs: int | None
    task: str
    dataset: str
    metric: str
    value: float
    source: str
    recipe: str = ''


def _top1(
    method: str,
    epochs: int | None,
    values: dict[str, float],
    source: str,
    task: str = 'finetune',
) -> list[Published]:
    return [
        Published(method, size, epochs, task, 'imagenet-1k', 'top1', value, source)
        for size, value in values.items()
    ]


def _miou(method: str, epochs: int, values: dict[str, float], source: str) -> list[Published]:
    return [
        Published(method, size, epochs, 'segmentation', 'ade20k', 'miou', value, source)
        for size, value in values.items()
    ]


def _coco(
    method: str, size: str, epochs: int, box: float, mask: float, recipe: str, source: str
) -> list[Published]:
    return [
        Published(method, size, epochs, 'detection', 'coco', metric, value, source, recipe)
        for metric, value in (('box_ap', box), ('mask_ap', mask))
    ]


PUBLISHED: tuple[Published, ...] = (
    *_top1('SymMIM', None, {'L': 85.9}, 'abstract of arXiv 2408.12772'),
    *_top1('MAE', 1600, {'B': 83.6}, 'CAE readme'),
    *_top1('MAE', 1600, {'B': 67.8}, 'CAE readme', 'linear'),
    *_miou('MAE', 1600, {'B': 48.1}, 'CAE readme'),
    *_coco('MAE', 'B', 1600, 48.4, 42.6, '1x', 'CAE readme'),
    *_coco('MAE', 'B', 1600, 50.4, 44.9, '100 epochs', 'MIMDet'),
    *_coco('MAE', 'B', 1600, 51.6, 45.9, 'ViTDet', 'detectron2'),
    *_top1('MAE', 1600, {'L': 85.9}, 'MAE fine-tune notes'),
    *_top1('MAE', 1600, {'L': 76.0}, 'CAE readme', 'linear'),
    *_miou('MAE', 1600, {'L': 53.6}, 'CAE readme'),
    *_coco('MAE', 'L', 1600, 54.0, 47.1, '1x', 'CAE readme'),
    *_coco('MAE', 'L', 1600, 55.5, 49.2, 'ViTDet', 'detectron2'),
    *_top1('SimMIM', 800, {'B': 83.8}, 'SimMIM'),
    *_top1('SimMIM', 800, {'S': 81.7, 'L': 85.6}, 'OpenMixup benchmark'),
    *_top1('ConMIM', 300, {'S': 82.0}, 'ConMIM readme'),
    *_top1('ConMIM', 800, {'B': 83.7}, 'ConMIM readme'),
    *_top1('ConMIM', 1600, {'L': 85.5}, 'ConMIM readme'),
    *_top1('MoCo v3', None, {'S': 81.4, 'B': 83.2, 'L': 84.1}, 'MoCo v3, ConMIM readme'),
    *_top1('MoCo v3', None, {'S': 73.2, 'B': 76.7}, 'MoCo v3', 'linear'),
    *_top1('BEiT', 800, {'B': 83.2, 'L': 85.2}, 'ConMIM readme'),
    *_top1('iBOT', None, {'S': 82.3, 'B': 84.0}, 'iBOT readme'),
    *_top1('iBOT', None, {'S': 77.9, 'B': 79.5}, 'iBOT readme', 'linear'),
    *_top1('CAE', 1600, {'B': 83.9, 'L': 86.2}, 'CAE readme'),
    *_top1('CAE', 1600, {'B': 70.3, 'L': 77.8}, 'CAE readme', 'linear'),
    *_miou('CAE', 1600, {'B': 50.3, 'L': 54.9}, 'CAE readme'),
    *_coco('CAE', 'B', 1600, 50.3, 44.2, '1x', 'CAE readme'),
    *_coco('CAE', 'L', 1600, 54.5, 47.5, '1x', 'CAE readme'),
    *_top1('CMAE', 1600, {'B': 84.7}, 'CMAE readme'),
    *_top1('A2MIM', 800, {'S': 82.1, 'B': 84.3, 'L': 86.1}, 'A2MIM readme'),
    *_top1('scratch', None, {'S': 79.8, 'B': 81.8, 'L': 82.6}, 'ConMIM readme'),
    *_top1('MAE (MMPretrain)', 300, {'B': 83.1}, 'MMPretrain readme'),
    *_top1('MAE (MMPretrain)', 400, {'B': 83.3, 'L': 85.2}, 'MMPretrain readme'),
    *_top1('MAE (MMPretrain)', 800, {'B': 83.3, 'L': 85.4}, 'MMPretrain readme'),
    *_top1('MAE (MMPretrain)', 1600, {'B': 83.5, 'L': 85.7}, 'MMPretrain readme'),
)

DATASETS = frozenset(item.dataset for item in PUBLISHED)

_SIZES = {'S': r'small|vit[-_]?s\b', 'B': r'base|vit[-_]?b\b', 'L': r'large|vit[-_]?l\b'}


def size_of(arch: str) -> str | None:
    """``S``, ``B`` or ``L`` where the name of an architecture says so, else ``None``."""
    for size, pattern in _SIZES.items():
        if re.search(pattern, arch.lower()):
            return size
    return None


def rows(size: str | None = None, datasets: frozenset[str] = DATASETS) -> list[list[Published]]:
    """Published numbers gathered into rows: one method, size and length, best known first.

    A row holds every number of one (method, size, epochs); several recipes of one metric stay
    separate entries of the row.
    """
    gathered: dict[tuple[str, str, int | None], list[Published]] = {}
    for item in PUBLISHED:
        if item.dataset in datasets and size in (None, item.size):
            gathered.setdefault((item.method, item.size, item.epochs), []).append(item)
    return sorted(gathered.values(), key=lambda row: 'SBL'.index(row[0].size))
