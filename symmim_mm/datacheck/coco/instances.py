"""The annotations of a COCO file: ids, boxes, masks, each against its image."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from symmim_mm.datacheck.coco.annotation_file import (
    Id,
    Size,
    check_categories,
    check_images,
    entry_problem,
    is_id,
    load,
)
from symmim_mm.datacheck.coco.masks import Extent, mask_extent
from symmim_mm.datacheck.report import NAMED, Report
from symmim_mm.datasets.transforms.decode import FindingError
from symmim_mm.utils.text import counted, listed

# The others are judged with the image.
RULES = dict(id=is_id, image_id=is_id, category_id=is_id, bbox=None, area=None, iscrowd=None)
# Shares of boxes that are off, or reach over the edge, from which the coordinates are suspected.
OFTEN, MOSTLY = 0.01, 0.3
LARGEST = 1e9  # no coordinate or area of an image is larger; infinity and NaN fail as well
ENOUGH = 20  # boxes without which no share is taken


def check_instances(root: str, name: str, report: Report, masks: bool = True) -> 'Instances | None':
    """Check all that an annotation file says, of boxes alone or masks too; no image is opened.

    Returns:
        What the file ``name`` below ``root`` holds, None where it cannot be read.
    """
    content = load(root, name, report)
    return None if content is None else check_content(content, name, report, masks)


def check_content(
    content: dict[str, list[Any]], name: str, report: Report, masks: bool = True
) -> 'Instances':
    """Check what :func:`load` returned of the file ``name``."""
    categories = check_categories(name, content['categories'], report)
    images = check_images(name, content['images'], report)
    instances = Instances(name, images, categories, report, masks)
    instances.check(content['annotations'])
    if not images:
        report.add('no-images', name)
    elif not instances.numbers['useful']:
        text = f'{counted(len(content["annotations"]), "annotation")} in all'
        report.add('no-instances', name, text)
    return instances


@dataclass
class Instances:
    """The annotations of one file, checked one after the other.

    ``images`` are ``(file name, (width, height))`` by id, ``categories`` names by id.
    """

    name: str
    images: dict[Id, tuple[str, Size]]
    categories: dict[Id, str]
    report: Report
    masks: bool = True
    ids: set[Id] = field(default_factory=set)
    annotated: set[Id] = field(default_factory=set)  # ids of images
    numbers: Counter[str] = field(default_factory=Counter)
    of_category: Counter[Id] = field(default_factory=Counter)
    strangers: Counter[Id] = field(default_factory=Counter)  # images that the file does not list

    def check(self, annotations: list[Any]) -> None:
        """Check every annotation, then what they are together."""
        for number, entry in enumerate(annotations):
            self._check_one(number, entry)
        if strangers := self.strangers.total():
            ids = listed(list(map(str, self.strangers)), NAMED)
            text = f'{counted(strangers, "annotation")} of image_id {ids}'
            self.report.add('unknown-image', self.name, text)
        boxes = self.numbers['boxes']
        off = self.numbers['box-outside'] + self.numbers['box-small']  # which are left out
        clipped = self.numbers['box-clipped']  # as those of hidden parts are
        if boxes >= ENOUGH and (off > OFTEN * boxes or clipped > MOSTLY * boxes):
            text = (
                f'{off + clipped:,} of {boxes:,}; COCO boxes are [left, top, width, '
                'height] in pixels, not corners and not fractions'
            )
            self.report.add('box-systematic', self.name, text)
        unused = [text for key, text in self.categories.items() if not self.of_category[key]]
        if unused:
            text = f'{len(unused)} of {len(self.categories)}: {listed(unused, NAMED)}'
            self.report.add('category-unused', self.name, text)

    def _check_one(self, number: int, entry: Any) -> None:
        if wrong := entry_problem(entry, **RULES):
            self.report.add('json-layout', self.name, f'annotation {number}: {wrong}')
            return
        key, image = entry['id'], self.images.get(entry['image_id'])
        if key in self.ids:
            self._add('duplicate-id', entry, '')
        self.ids.add(key)
        if image is None:
            self.strangers[entry['image_id']] += 1
            return
        self.annotated.add(entry['image_id'])
        self.numbers['crowds'] += bool(entry['iscrowd'])
        known = entry['category_id'] in self.categories
        self.of_category[entry['category_id']] += 1
        if not known:
            self._add('unknown-category', entry, f'category_id {entry["category_id"]}')
        box = self._check_box(entry, image[1])
        mask = entry.get('segmentation')
        self.numbers['run lengths' if isinstance(mask, dict) else 'polygons'] += 1
        try:
            extent = mask_extent(mask, image[1]) if self.masks else None
        except FindingError as error:
            self._add(error.kind, entry, str(error))
            return
        if known and box and not entry['iscrowd'] and not _is_small(entry):
            self.numbers['useful'] += 1
        if extent is None:
            return
        if extent.is_outside(image[1]):
            self._add('mask-apart', entry, 'the mask lies outside of the image')
        elif box and not extent.touches(box):
            self._add('mask-apart', entry, f'mask {extent}, box {box}')
        elif not extent.is_inside(image[1]):
            self._add('box-clipped', entry, f'mask {extent}, image {image[1][0]} x {image[1][1]}')

    def _check_box(self, entry: dict[str, Any], size: Size) -> Extent | None:
        """Judge a box as MMDetection's ``parse_data_info`` does; None where it is no use."""
        self.numbers['boxes'] += 1
        box, area = entry['bbox'], entry['area']
        if (
            not isinstance(box, list)
            or len(box) != 4
            or not all(_is_finite(value) for value in (*box, area))
        ):
            self._add('json-layout', entry, f'bbox {box!r}, area {area!r}')
            return None
        left, top, width, height = box
        extent = Extent(left, top, left + width, top + height)
        flat = width == 0 or height == 0  # a few of COCO's own are
        if width < 0 or height < 0 or (extent.is_outside(size) and not flat):
            kind = 'box-outside'
        elif _is_small(entry):
            kind = 'box-small'
        elif not extent.is_inside(size):
            kind = 'box-clipped'
        else:
            return extent
        self.numbers[kind] += 1
        rounded = [round(value, 2) for value in (*box, area)]
        text = f'box {rounded[:4]}, area {rounded[4]}, image {size[0]} x {size[1]}'
        self._add(kind, entry, text)
        return None if kind == 'box-outside' else extent

    def _add(self, kind: str, entry: dict[str, Any], text: str) -> None:
        """Add a finding of an annotation, with its id and image."""
        image = self.images.get(entry['image_id'])
        where = f'annotation {entry["id"]}' + (f' of {image[0]}' if image else '')
        self.report.add(kind, self.name, f'{where}: {text}' if text else where)


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST


def _is_small(entry: dict[str, Any]) -> bool:
    width, height = entry['bbox'][2:]
    return width < 1 or height < 1 or entry['area'] <= 0
