"""Builds records and run directories for the tests of the table and the page."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from symmim_mm.results.record import Data, Record

if TYPE_CHECKING:  # the suite's stand-in imports nothing that takes long
    from symmim_mm.results.table import Table


def sha(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def data(
    train: int = 2000, val: int | None = None, classes: int | None = None, fingerprint: str = 'a'
) -> Data:
    """Data of so many images, all splits of one fingerprint."""
    splits = {'train': train} | ({} if val is None else {'val': val})
    return Data.model_validate({
        name: {'images': count, 'classes': classes, 'fingerprint': fingerprint * 64}
        for name, count in splits.items()
    })  # fmt: skip


def record(
    method: str = 'symmim',
    task: str = 'finetune',
    seed: int = 0,
    *,
    recipe: str = '',
    pretrain: str = '',
    **changes: Any,
) -> Record:
    """A valid record; ``recipe`` and ``pretrain`` name its config and that of its parent."""
    started_from = None
    if task != 'pretrain' and method != 'random':
        started_from = sha('checkpoint', method, 'pretrain', seed, pretrain)
    values: dict[str, Any] = {
        'schema': 1,
        'run': f'{method}-{task}-seed{seed}',
        'method': method,
        'arch': 'tiny',
        'task': task,
        'dataset': 'sample',
        'config': f'configs/{task}{recipe}.py',
        'config_sha256': sha(task, recipe, method if task == 'pretrain' else ''),
        'checkpoint': 'last.pth',
        'checkpoint_sha256': sha('checkpoint', method, task, seed, recipe),
        'backbone_sha256': started_from,
        'seed': seed,
        'metrics': {
            'pretrain': {'loss': 0.5},
            'detection': {'box_ap': 20.0, 'mask_ap': 15.0},
            'segmentation': {'miou': 30.0},
        }.get(task, {'top1': 60.0}),
        'hardware': {'cpu': 'a cpu', 'cores': 2, 'gpus': 0},
        'versions': {'torch': '2.11.0'},
        'duration_s': 3600.0,
        'started': '2026-01-01T00:00:00Z',
        'finished': '2026-01-01T01:00:00Z',
    }
    return Record(**values | changes)


def write(folder: Path, item: Record, losses: int = 20, figures: int = 0) -> Path:
    """Write a record with a scalar file and images into ``folder/<run>``."""
    run = folder / item.run
    scalars = run / '20260101_000000/vis_data/scalars.json'
    scalars.parent.mkdir(parents=True)
    lines = [{'lr': 1e-3, 'loss': 2 / step, 'step': step} for step in range(1, losses + 1)]
    lines += [{'accuracy/top1': 10.0 * step, 'step': step} for step in (1, 2)]
    scalars.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    item.curve = str(scalars.relative_to(run))
    item.figures = [f'figures/{index}.png' for index in range(figures)]
    for name in item.figures:
        (run / name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (24, 8), (200, 30, 30)).save(run / name)
    item.write(run)
    return run


def cells(table: 'Table') -> dict[tuple[str, str], str]:
    """What the cells of a table show, by row and column."""
    return {
        (row.label, column.label): table.text(cell)
        for row in table.rows
        for column, cell in row.cells.items()
    }


def suite(*seeds: int) -> list[Record]:
    """Records of four methods and a random start, on all tasks."""
    found = []
    for seed in seeds or (0,):
        for method in ('random', 'simmim', 'mae', 'symmim', 'dino'):
            if method != 'random':
                found.append(record(method, 'pretrain', seed))
            found += [
                record(method, task, seed)
                for task in ('finetune', 'linear', 'knn', 'detection', 'segmentation')
            ]
    return found
