"""Published numbers: each names the file or paper it was read in, and shows next to our runs."""

import re

from mmengine.config import Config
from paths import CONFIGS

from symmim_mm.results.published import load_published, published_rows
from symmim_mm.results.table import COLUMNS

SOURCE = re.compile(r'[\w.-]+/[\w.-]+@[0-9a-f]{7}:[\w./-]+|arXiv:\d{4}\.\d{5}')


def test_values() -> None:
    items = load_published()
    assert all(0 < item.value < 100 for item in items)
    keys = [(i.method, i.arch, i.epochs, i.task, i.metric, i.recipe) for i in items]
    assert len(set(keys)) == len(keys) == 114
    datasets = {item.dataset for item in items}
    rows = {row.label: row for size in 'BL' for row in published_rows(f'ViT-{size}/16', datasets)}
    mae = rows['MAE ViT-B/16, 1600 epochs']
    assert mae.text('finetune', 'top1') == '83.6; 83.6 (mean of 4 seeds, ± 0.08)'
    assert mae.text('detection', 'box_ap') == (
        '50.3 (MAE); 48.4 (1x, run by CAE); 50.4 (100 epochs, run by MIMDet); 51.6 (ViTDet)'
    )
    assert rows['SymMIM ViT-L/16'].text('finetune', 'top1') == '85.9'


def test_every_source_is_a_file_of_a_commit_or_a_paper() -> None:
    assert [item for item in load_published() if not SOURCE.fullmatch(item.source)] == []


def test_every_number_has_the_task_and_dataset_of_a_config() -> None:
    """A number filed under another name of a dataset would never show next to our runs."""
    files = [path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts]
    run = {(cfg.run.task, cfg.run.dataset) for cfg in map(Config.fromfile, files)}
    assert {(item.task, item.dataset) for item in load_published()} <= run
    shown = {(task, metric) for task, metric, _ in COLUMNS}
    assert {(item.task, item.metric) for item in load_published()} <= shown
