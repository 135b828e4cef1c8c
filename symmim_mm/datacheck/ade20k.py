"""ADE20K's layout: ``{images,annotations}/{training,validation}``, images and label maps."""

import os
from collections import Counter
from collections.abc import Iterator

from symmim_mm.datacheck.layout import Job, Listing, Plan, missing_folders
from symmim_mm.datacheck.report import Report
from symmim_mm.utils.text import counted

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
    missing_folders(root, [f'{part}/{split}' for part in SUFFIXES for split in IMAGES], report)
    pairs: list[Job] = []
    for split, official in IMAGES.items():
        if not all(os.path.exists(os.path.join(root, part, split)) for part in SUFFIXES):
            continue
        images, maps = (_files(root, part, split, report) for part in SUFFIXES)
        jobs = list(_pair(split, images, maps, report))
        report.fact(split, counted(len(jobs), 'pair'), pairs=len(jobs))
        if not images:
            report.add('no-images', f'images/{split}')
        elif classes is None and len(images) != official:
            report.add(
                'image-count', f'images/{split}', f'{len(images):,}, ADE20K has {official:,}'
            )
        pairs += jobs

    def end(highest: int) -> None:
        if highest >= 0:
            report.fact('classes', f'the highest is {highest}', highest=highest)
        if highest in (0, 1):
            text = 'no labeled pixel, but 0 and 255' if highest == 0 else '0 and 1 alone'
            text += ': a background is a class as well, store two classes or set '
            report.add('one-class', 'annotations', f'{text}reduce_zero_label=False')
        elif classes is None and 0 < highest < CLASSES:
            text = f'the highest is {highest}, ADE20K has {CLASSES}: set num_classes={highest}'
            report.add('class-count', 'annotations', text)

    return Plan(len(pairs), pairs, end)


def _files(root: str, part: str, split: str, report: Report) -> dict[str, str]:
    """Return paths by what pairs them: the path below the folder without extension.

    MMSegmentation reads one extension, with regard to case; the most frequent one is taken.
    """
    folder = f'{part}/{split}'
    listing = Listing(root, report)
    paths = sorted(listing.images(folder))
    listing.report_other_files()
    if not paths:
        return {}
    number = Counter(os.path.splitext(path)[1] for path in paths)
    suffix = max(number, key=lambda name: (number[name], name == SUFFIXES[part]))
    if suffix != SUFFIXES[part]:
        text = f'{suffix} in place of {SUFFIXES[part]}: set {OPTIONS[part]}={suffix!r}'
        report.add('suffix', folder, text)
    files = {}
    for path in paths:
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
        if stem not in maps:
            report.add('unpaired', path, f'no label map {stem} in annotations/{split}')
        yield Job(path, maps.get(stem))
    for stem in maps.keys() - images.keys():
        report.add('map-without-image', maps[stem])
