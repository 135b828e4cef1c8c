"""Pieces of the record: curves over resumptions, architecture names, blind guessing."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from symmim_mm.engine.record_hook import architecture, blind_miou, collect_curve


def write_scalars(work_dir: Path, stamp: str, steps: range, loss: float) -> None:
    folder = work_dir / stamp / 'vis_data'
    folder.mkdir(parents=True)
    lines = [json.dumps(dict(loss=loss, step=step)) for step in steps]
    (folder / 'scalars.json').write_text('\n'.join(lines) + '\n')


def test_a_resumed_curve_has_each_step_once(tmp_path: Path) -> None:
    write_scalars(tmp_path, '20260101_000000', range(10, 60, 10), 1.0)
    file = tmp_path / '20260101_000000' / 'vis_data' / 'scalars.json'
    file.write_text(file.read_text() + '{"accuracy/top1": 3.0, "step": 1}\n{"loss": 2.0, "st')
    write_scalars(tmp_path, '20260101_010000', range(40, 80, 10), 2.0)
    assert collect_curve(tmp_path) == 'curve.jsonl'
    lines = [json.loads(line) for line in (tmp_path / 'curve.jsonl').read_text().splitlines()]
    assert [(line['step'], line['loss']) for line in lines] == [
        (10, 1.0), (20, 1.0), (30, 1.0), (40, 2.0), (50, 2.0), (60, 2.0), (70, 2.0)
    ]  # fmt: skip


def test_no_scalars_no_curve(tmp_path: Path) -> None:
    assert collect_curve(tmp_path) is None
    assert not (tmp_path / 'curve.jsonl').exists()


@pytest.mark.parametrize(
    ('backbone', 'name'),
    [
        (dict(arch='base', patch_size=16), 'ViT-B/16'),
        (dict(arch='l'), 'ViT-L/16'),
        (dict(arch='deit-small'), 'ViT-S/16'),
        (dict(arch=dict(embed_dims=128, num_layers=6), patch_size=8), 'ViT 128x6/8'),
    ],
)
def test_architecture_names(backbone: dict, name: str) -> None:
    assert architecture(backbone) == name


class Labels:
    """Two label maps: 0 is unlabelled, 24 pixels of class 1 and 6 of class 2."""

    reduce_zero_label = True
    metainfo = dict(classes=('a', 'b', 'c'))

    def __init__(self, folder: Path) -> None:
        self.paths = []
        for index, values in enumerate(([1] * 10 + [0] * 6, [1] * 14 + [2] * 6)):
            path = folder / f'{index}.png'
            cv2.imwrite(str(path), np.array([values], np.uint8))
            self.paths.append(str(path))

    def __len__(self) -> int:
        return len(self.paths)

    def get_data_info(self, index: int) -> dict:
        return dict(seg_map_path=self.paths[index])


def test_blind_miou_is_the_share_of_the_largest_class_over_all_classes(tmp_path: Path) -> None:
    assert blind_miou(Labels(tmp_path)) == pytest.approx(100 * (24 / 30) / 3)
