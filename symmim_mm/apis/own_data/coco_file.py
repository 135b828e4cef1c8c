"""A COCO file of one's own: checked whole before a plan is written, and its parts."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from symmim_mm.apis.own_data.image_sizes import check_sizes
from symmim_mm.datacheck.coco.annotation_file import load
from symmim_mm.datacheck.coco.instances import check_content
from symmim_mm.datacheck.report import Report
from symmim_mm.datasets.label_share import LabelShare, choose_part
from symmim_mm.engine.annotation_check import REFUSED_IN_TRAINING, left_out, refuse
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic

TRAINED_ON = dict(filter_empty_gt=True, min_size=1)  # MMDetection's filter: images with objects
BOXES_ALONE = 'remove segmentation from all annotations'


@dataclass(frozen=True)
class CocoFile:
    """A COCO file that was checked.

    Args:
        file: where it is, or is to be written.
        folder: that its file names are relative to.
        content: ``images``, ``annotations`` and ``categories``.
        classes: names of the categories in the order of the file.
        masks: whether the objects have masks, which then all have.
        left_out: which annotations MMDetection leaves out; '' for none.
    """

    file: Path
    folder: Path
    content: dict[str, list[Any]]
    classes: list[str]
    masks: bool
    left_out: str

    @property
    def unmatched(self) -> bool:
        """Whether an object has an id that pycocotools' evaluation takes for no match, or for none.

        It stores ids of matches as numbers and 0 for none: the object 0 is never found.
        """
        ids = (entry['id'] for entry in self.content['annotations'])
        return any(isinstance(key, str) or key == 0 for key in ids)

    @property
    def annotated(self) -> int:
        """Number of images with objects, which are those that are trained on."""
        return len({entry['image_id'] for entry in self.content['annotations']})

    @property
    def dataset(self) -> dict[str, Any]:
        """Settings of MMDetection's dataset of these images."""
        return dict(
            data_root='', ann_file=str(self.file.resolve()),
            data_prefix=dict(img=str(self.folder.resolve())),
            metainfo=dict(classes=tuple(self.classes)),
        )  # fmt: skip

    def part(self, share: tuple[float, float], file: Path) -> 'CocoFile':
        """Return a share of the images, with their objects, as another file to be written."""
        images = self.content['images']
        kept = choose_part(range(len(images)), lambda n: images[n]['file_name'], share, least=1)
        return self._only({images[number]['id'] for number in kept}, file)

    def labeled_part(self, labels: float, file: Path) -> 'CocoFile':
        """Return the images that a training with ``labels`` chooses, as another file."""
        config = dict(self.dataset, type='mmdet.CocoDataset', filter_cfg=TRAINED_ON)
        chosen = LabelShare(config, labels)
        return self._only({chosen.get_data_info(n)['img_id'] for n in range(len(chosen))}, file)

    def _only(self, names: set[Any], file: Path) -> 'CocoFile':
        images = [entry for entry in self.content['images'] if entry['id'] in names]
        found = [entry for entry in self.content['annotations'] if entry['image_id'] in names]
        return replace(
            self, file=file, content=self.content | dict(images=images, annotations=found)
        )

    def has_objects(self) -> bool:
        """Return whether there is an object that can be learned or measured."""
        report = Report('coco', self.file.parent)
        found = check_content(self.content, self.file.name, report, self.masks)
        return found.numbers['useful'] > 0

    def write(self) -> None:
        """Write the file, its annotations numbered from 1."""
        numbered = [
            entry | dict(id=number) for number, entry in enumerate(self.content['annotations'], 1)
        ]
        write_atomic(self.file, json.dumps(self.content | dict(annotations=numbered)) + '\n')


def open_coco(file: Path, folder: Path, masks: bool | None = None) -> CocoFile:
    """Read a COCO file, check all it says, and look for its images.

    Args:
        file: the file.
        folder: that its file names are relative to.
        masks: whether masks are learned; by default, if there are any.

    Raises:
        UserError: training would stop at the file or at its images, or learn nothing from them.
    """
    report = Report('coco', file.parent)
    finder = f'`symmim check coco {file} --images {folder}`'
    content = load(str(file.parent), file.name, report) or {}
    refuse(file, report, REFUSED_IN_TRAINING, finder, BOXES_ALONE)
    if not content['images'] or not content['annotations']:
        raise UserError(f'{file} has no images or no objects: there is nothing to learn from')
    if masks is None:
        masks = any(map(_has_mask, content['annotations']))
    found = check_content(content, file.name, report, masks)
    refuse(file, report, REFUSED_IN_TRAINING, finder, BOXES_ALONE)
    names = [name for name, _ in found.images.values()]
    absent = [name for name in names if not os.path.isfile(folder / name)]
    if absent:
        way = 'name the folder that the file names are relative to'
        raise UserError(
            f'{len(absent)} of the {len(names)} images of {file} are not in {folder}, e.g. '
            f'{absent[0]}: '
            + (way if len(absent) == len(names) else f'add or unlist them, or {way}')
        )
    check_sizes(file, folder, found.images.values())
    content['annotations'] = [
        entry
        for entry in content['annotations']
        if entry['image_id'] in found.images and entry['category_id'] in found.categories
    ]
    classes = list(found.categories.values())
    return CocoFile(file, folder, content, classes, masks, left_out(report))


def _has_mask(entry: Any) -> bool:
    """Return whether an annotation, which may be anything yet, has a mask."""
    mask = entry.get('segmentation') if isinstance(entry, dict) else None
    return any(mask) if isinstance(mask, list) else bool(mask)  # [[]] is none, too
