"""ADE20K's layout: ``{images,annotations}/{training,validation}``, images and label maps."""

import os
from collections import Counter
from collections.abc import Iterator

from symmim_mm.datacheck.layout import Job, Listing, Outcome, Plan, missing_folders
from symmim_mm.datacheck.report import Report, plural

CLASSES = 150
IMAGES = {'training': 20_210, 'validation': 2_000}
SUFFIXES = {'images': '.jpg', 'annotations': '.png'}  # MMSegmentation's ADE20KDataset
OPTIONS = {'images': 'img_suffix', 'annotations': 'seg_map_suffix'}


def plan_ade20k(root: str, report: Report, classes: int | None = None) -> Plan:
    """Check that images and label maps come in pairs; sizes and values come with the images.

    Args:
        root: holds ``images`` and ``annotations``.
        report: takes the findings.
        classes: their number where the user named it; else ADE20K's 150 are expected, and fewer
            are only a notice.
    """
    folders = [f'{part}/{split}' for part in SUFFIXES for split in IMAGES]
    missing_folders(root, folders, report)
    pairs: list[Job] = []
    for split, official in IMAGES.items():
        found = {
            part: _files(root, part, split, report)
            for part in SUFFIXES
            if os.path.exists(os.path.join(root, part, split))
        }
        if len(found) < len(SUFFIXES):
            continue
        jobs = list(_pair(split, *found.values(), report))
        report.fact(split, plural(len(jobs), 'pair'), pairs=len(jobs))
        if not found['images']:
            report.add('no-images', f'images/{split}')
        elif classes is None and len(found['images']) != official:
            text = f'{len(found["images"]):,}, ADE20K has {official:,}'
            report.add('image-count', f'images/{split}', text)
        pairs += jobs
    highest = -1

    def seen(job: Job, outcome: Outcome) -> None:
        nonlocal highest
        highest = max(highest, outcome.highest)

    def end() -> None:
        if highest < 0:
            return
        report.fact('classes', f'the highest is {highest}', highest=highest)
        if classes is None and 0 < highest < CLASSES:
            text = f'the highest is {highest}, ADE20K has {CLASSES}: set num_classes={highest}'
            report.add('class-count', 'annotations', text)

    return Plan(len(pairs), pairs, seen, end)


def _files(root: str, part: str, split: str, report: Report) -> dict[str, str]:
    """Return paths by what pairs them: the path below the folder without extension.

    MMSegmentation reads one extension, with regard to case; the most frequent one is taken.
    """
    folder = f'{part}/{split}'
    listing = Listing(root, report)
    paths = list(listing.images(folder))
    listing.report_other_files()
    number = Counter(os.path.splitext(path)[1] for path in paths)
    if not number:
        return {}
    suffix = max(number, key=lambda name: (number[name], name == SUFFIXES[part]))
    if suffix != SUFFIXES[part]:
        text = f'{suffix} in place of {SUFFIXES[part]}: set {OPTIONS[part]}={suffix!r}'
        report.add('suffix', folder, text)
    files = {}
    for path in sorted(paths):
        stem, ending = os.path.splitext(path)
        if ending == suffix:
            files[os.path.relpath(stem, folder)] = path
        else:
            report.add('mixed-suffix', path, f'the others end in {suffix}')
    return files


def _pair(
    split: str, images: dict[str, str], maps: dict[str, str], report: Report
) -> Iterator[Job]:
    for stem, path in images.items():
        if stem in maps:
            yield Job(path, maps[stem])
        else:
            report.add('unpaired', path, f'no label map {stem} in annotations/{split}')
            yield Job(path)
    for stem in maps.keys() - images.keys():
        report.add('map-without-image', maps[stem])
