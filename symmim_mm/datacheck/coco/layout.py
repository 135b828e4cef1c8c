"""COCO's layout, ``annotations/instances_{train,val}2017.json`` and images, or any one file."""

import os
from collections.abc import Iterator, Sequence

from symmim_mm.datacheck.coco.annotation_file import NAMES, Id, Size
from symmim_mm.datacheck.coco.instances import Instances, check_instances
from symmim_mm.datacheck.layout import Job, Listing, Plan, missing_folders
from symmim_mm.datacheck.report import NAMED, Report
from symmim_mm.utils.text import counted, listed

IMAGES = {'train2017': 118_287, 'val2017': 5_000}
MIN_SIDE = 32  # filter_cfg of configs/_base_/datasets/coco_instance.py


def plan_coco(
    root: str, report: Report, classes: int | Sequence[str] | None = None, file: str | None = None
) -> Plan:
    """Check both annotation files, or one; sizes come with the images.

    Args:
        root: holds ``annotations``, ``train2017`` and ``val2017``, or the images of ``file``.
        report: takes the findings.
        classes: number or names, in order, of the categories where the user named them; else
            COCO's 80 are expected, and others are only a notice.
        file: an annotation file, its path from ``root``.
    """
    if file:
        files = {'': file}
    else:
        files = {split: f'annotations/instances_{split}.json' for split in IMAGES}
        missing_folders(root, [*files.values(), *IMAGES], report)
    jobs: list[Job] = []
    categories = {}
    for split, name in files.items():
        if not os.path.exists(os.path.join(root, name)):
            continue
        instances = check_instances(root, name, report)
        if instances is None:
            continue
        categories[name], images = instances.categories, instances.images
        _report_split(split, instances, report)
        if classes is None and len(images) != IMAGES.get(split, len(images)):
            text = f'{len(images):,}, COCO 2017 has {IMAGES[split]:,}'
            report.add('image-count', name, text)
        if os.path.isdir(os.path.join(root, split)):
            jobs += _jobs(root, split, name, images, report)
        del images, instances  # before the next file is read: they are large
    _compare_categories(categories, classes, report)
    return Plan(len(jobs), jobs)


def _report_split(split: str, instances: Instances, report: Report) -> None:
    images, numbers = instances.images, instances.numbers
    counts = dict(
        images=len(images),
        without_instances=len(images) - len(instances.annotated),
        instances=numbers['boxes'],
        categories=len(instances.categories),
        polygons=numbers['polygons'],
        run_lengths=numbers['run lengths'],
        crowds=numbers['crowds'],
    )
    report.fact(
        split or instances.name,
        f'{counted(counts["images"], "image")}, {counts["without_instances"]:,} of them without '
        f'instances; {counted(counts["instances"], "instance")} of '
        f'{counted(counts["categories"], "category")}: {counts["polygons"]:,} polygons, '
        f'{counts["run_lengths"]:,} run lengths, {counts["crowds"]:,} crowds',
        **counts,
    )
    for file, size in images.values():
        if split.startswith('train') and min(size) < MIN_SIDE:
            report.add('image-small', f'{split}/{file}', f'{size[0]} x {size[1]}')


def _jobs(
    root: str, split: str, name: str, images: dict[Id, tuple[str, Size]], report: Report
) -> Iterator[Job]:
    """Yield the listed images that are there."""
    listing = Listing(root, report)
    present = set(listing.images(split))
    listing.report_other_files()
    used = set()
    for file, size in images.values():
        path = os.path.normpath(os.path.join(split, file))
        if os.path.isabs(file) or '..' in file.split('/'):
            report.add('path-outside', name, f'file_name {file}')
        elif path in present or os.path.isfile(os.path.join(root, path)):
            used.add(path)
            yield Job(path, size=size)
        else:
            report.add('image-missing', path, f'listed in {name}')
    if unlisted := sorted(present - used):
        text = f'{counted(len(unlisted), "image")}: {listed(unlisted, NAMED)}'
        report.add('image-unlisted', split, text)


def _compare_categories(
    categories: dict[str, dict[Id, str]], classes: int | Sequence[str] | None, report: Report
) -> None:
    """Compare the categories of files, in their order, with each other and what is expected."""
    if len(categories) == 2:
        one, two = (list(found.items()) for found in categories.values())
        only = sorted(f'{key} {name}' for key, name in set(one) ^ set(two))
        if one != two:
            what = listed(only, NAMED) if only else 'the order'
            text = f'categories of {" and ".join(categories)} differ in {what}'
            report.add('class-sets', 'annotations', text)
    for file, found in categories.items():
        names = list(found.values())
        if classes is None and names != list(NAMES):
            text = (
                f"{counted(len(names), 'category')} ({listed(names, NAMED)}) in place of COCO's "
                f'80: set metainfo=dict(classes=...) and num_classes={len(names)}'
            )
            report.add('class-count', file, text)
        elif isinstance(classes, int) and len(names) != classes:
            report.add('classes', file, f'{len(names)} in place of {classes}')
        elif isinstance(classes, Sequence) and names != list(classes):
            text = f'{listed(names, NAMED)} in place of {listed(classes, NAMED)}'
            report.add('classes', file, text)
