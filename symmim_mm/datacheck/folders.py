"""ImageNet in class folders, and any folder of images without labels."""

import os
from collections.abc import Iterable, Iterator, Sequence

from symmim_mm.datacheck.layout import Job, Listing, Plan, missing_folders
from symmim_mm.datacheck.report import NAMED, Report
from symmim_mm.utils.text import counted, listed

CLASSES = 1000
IMAGES = {'train': 1_281_167, 'val': 50_000}  # ILSVRC 2012, classification


def plan_folder(root: str, report: Report) -> Plan:
    """Check a folder of images: everything below ``root`` that pre-training would read."""
    listing = Listing(root, report)
    total = sum(1 for _ in listing.images())
    listing.report_other_files()
    report.fact('images', f'{total:,}', number=total)
    if not total:
        report.add('no-images', '', 'not one file with a known extension')
    return Plan(total, _jobs(root, ['']))


def plan_imagenet(
    root: str,
    report: Report,
    classes: int | Sequence[str] | None = None,
    splits: tuple[str, str] = ('train', 'val'),
) -> Plan:
    """Check folders ``<split>/<class>/``: the same classes in both, each with images.

    Args:
        root: holds the two folders.
        report: takes the findings.
        classes: their number or names where the user named them; else ImageNet's 1000 are
            expected, and another number is only a notice.
        splits: names of the folders of training and validation.
    """
    missing_folders(root, list(splits), report)
    listing = Listing(root, report)
    present = [split for split in splits if os.path.exists(os.path.join(root, split))]
    official = dict(zip(splits, IMAGES.values(), strict=True))
    sets, total = {}, 0
    for split in present:
        counts = _count_classes(split, listing, report)
        images = sum(counts.values())
        loose = sum(1 for _ in listing.images(split, deep=False))
        text = f'{counted(images, "image")} in {counted(len(counts), "class folder")}'
        report.fact(split, text, images=images, classes=len(counts))
        if counts:
            sets[split] = set(counts)
            if classes is None and images != official[split]:
                text = f'{images:,}, ImageNet-1K has {official[split]:,}'
                report.add('image-count', split, text)
        if counts and loose:
            report.add('not-read', split, f'{counted(loose, "image")} next to the class folders')
        elif loose:
            text = (
                f'{counted(loose, "image")} directly in it: move each to {split}/<class>/ '
                '(docs/data.md says how); for pre-training alone, check it as a folder'
            )
            report.add('flat', split, text)
        elif not images:
            report.add('no-images', split)
        total += images + loose
    listing.report_other_files()
    _compare_classes(sets, classes, report)
    return Plan(total, _jobs(root, present))


def _count_classes(split: str, listing: Listing, report: Report) -> dict[str, int]:
    """Count the images of each class folder of a split."""
    counts = {}
    for name in listing.folders(split):
        folder = os.path.join(split, name)
        counts[name] = sum(1 for _ in listing.images(folder))
        if name.startswith('.'):
            report.add('hidden-class', folder, 'remove it')
        elif not counts[name]:
            report.add('empty-class', folder)
    return counts


def _compare_classes(
    sets: dict[str, set[str]], classes: int | Sequence[str] | None, report: Report
) -> None:
    """Compare the classes of the splits with each other and with what is expected."""
    for split, found in sets.items():
        for other in sets:
            if only := sorted(found - sets[other]):
                text = f'{counted(len(only), "class")} not in {other}: {listed(only, NAMED)}'
                report.add('class-sets', split, text)
        if classes is None and len(found) != CLASSES:
            text = f'{len(found)}, ImageNet-1K has {CLASSES}: set num_classes={len(found)}'
            report.add('class-count', split, text)
        elif isinstance(classes, int) and len(found) != classes:
            report.add('classes', split, f'{len(found)} in place of {classes}')
        elif isinstance(classes, Sequence):
            for word, names in (('without', {*classes} - found), ('besides', found - {*classes})):
                if names:
                    report.add('classes', split, f'{word} {listed(sorted(names), NAMED)}')


def _jobs(root: str, folders: Iterable[str]) -> Iterator[Job]:
    """Yield the images of folders; what is odd about the folders has been reported before."""
    listing = Listing(root)
    for folder in folders:
        for path in listing.images(folder):
            yield Job(path)
