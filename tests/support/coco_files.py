"""Small COCO datasets, right and wrong, and what the check finds in them."""

import json
from pathlib import Path
from typing import Any

from image_samples import encode, make_image

from symmim_mm.datacheck.coco.layout import plan_coco
from symmim_mm.datacheck.image import Options
from symmim_mm.datacheck.report import Report
from symmim_mm.datacheck.workers import check_job

JPEG = encode(make_image(64, 48))
TRAIN, VAL = (f'annotations/instances_{split}2017.json' for split in ('train', 'val'))


def content() -> dict[str, list[dict[str, Any]]]:
    """Two images, two categories, two annotations."""
    return {
        'images': [
            dict(id=1, file_name='a.jpg', width=64, height=48),
            dict(id=2, file_name='b.jpg', width=64, height=48),
        ],
        'annotations': [
            dict(id=10, image_id=1, category_id=1, bbox=[2, 2, 18, 18], area=162, iscrowd=0,
                 segmentation=[[2, 2, 20, 2, 20, 20]]),
            dict(id=11, image_id=2, category_id=5, bbox=[0, 0, 64, 48], area=3072, iscrowd=1,
                 segmentation={'size': [48, 64], 'counts': [0, 48 * 64]}),
        ],
        'categories': [dict(id=1, name='disc'), dict(id=5, name='ring')],
    }  # fmt: skip


def write(root: Path, train: Any = None, val: Any = None) -> Path:
    for split, data in (('train2017', train), ('val2017', val)):
        (root / 'annotations').mkdir(parents=True, exist_ok=True)
        text = data if isinstance(data, str) else json.dumps(content() if data is None else data)
        (root / f'annotations/instances_{split}.json').write_text(text)
        (root / split).mkdir(exist_ok=True)
        for name in ('a.jpg', 'b.jpg'):
            (root / split / name).write_bytes(JPEG)
    return root


def check(root: Path, classes=None) -> dict[str, list[tuple[str, str]]]:
    """All findings but those that no small set gets right."""
    report = Report('coco', root)
    plan = plan_coco(str(root), report, classes)
    jobs = list(plan.jobs)
    assert plan.total == len(jobs)
    for job in jobs:
        for finding in check_job(job, Options(str(root))).findings:
            report.add(*finding)
    expected = ('image-count', 'class-count') if classes is None else ()
    return {kind: found for kind, found in report.findings.items() if kind not in expected}


def changed(key: str, number: int, **values: Any) -> dict:
    data = content()
    data[key][number] |= values
    return data
