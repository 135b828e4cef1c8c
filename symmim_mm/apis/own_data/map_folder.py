"""Two folders, of images and of label maps: pairs by name, classes, and what is held out."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from symmim_mm.datasets.label_maps import read_label_map
from symmim_mm.datasets.label_share import choose_part
from symmim_mm.datasets.survey import survey
from symmim_mm.datasets.transforms.decode import IGNORED
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import write_atomic
from symmim_mm.utils.host import available_cores
from symmim_mm.utils.text import listed


@dataclass(frozen=True)
class MapFolder:
    """Images with label maps."""

    images: Path  # the folders
    masks: Path
    files: list[str]  # images with a label map, below the folder
    found: list[set[int]]  # the values of each of these maps
    bare: list[str]  # images without
    suffix: str  # what follows an image's name without its ending in that of the label map
    names: Path  # file with the names without ending, one a line

    @property
    def values(self) -> list[int]:
        """The values that are classes: all but 255, unless the maps hold 0 and 255 alone."""
        found = set().union(*self.found)
        return sorted(found if found == {0, IGNORED} else found - {IGNORED})

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their values."""
        if self.values in ([0, 1], [0, IGNORED]):
            return ['background', 'object']
        return [f'class {value}' for value in self.values]

    def part(self, share: tuple[float, float], names: Path) -> 'MapFolder':
        """Write the names of a share of the images into another file."""
        order = range(len(self.files))
        kept = sorted(choose_part(order, self.files.__getitem__, share, least=1))
        files = [self.files[number] for number in kept]
        write_atomic(names, ''.join(os.path.splitext(file)[0] + '\n' for file in files))
        return replace(
            self, files=files, found=[self.found[number] for number in kept], names=names
        )


def open_maps(images: Path, masks: Path, names: Path) -> MapFolder:
    """Pair images with label maps by name, and read the values of all maps.

    Raises:
        UserError: no pairs, several endings of images, or maps that cannot be used.
    """
    files = survey(images, sample=0).images
    maps = set(survey(masks, sample=0).images)
    endings = Counter(os.path.splitext(path)[1] for path in files)
    if len(endings) > 1:
        raise UserError(
            f'{images} has images that end in {listed(list(endings), 4)}: MMSegmentation reads '
            'one ending at a time; convert or rename them'
        )
    stems = {os.path.splitext(path)[0]: path for path in files}
    # How maps' names continue after those of their images: what most images have counts.
    first = [stem for stem in list(stems)[:50]]
    ways = Counter(path[len(stem) :] for stem in first for path in maps if path.startswith(stem))
    suffix = max(ways, key=lambda way: sum(stem + way in maps for stem in stems), default='')
    paired = [stem for stem in stems if suffix and stem + suffix in maps]
    if 2 * len(paired) < len(stems):
        raise UserError(
            f'{len(paired)} of the {len(stems)} images of {images} have a label map of the same '
            f'name in {masks}, e.g. {files[0]} has none: name both alike'
        )
    with ThreadPoolExecutor(available_cores()) as pool:
        try:
            found = list(pool.map(lambda stem: _values(masks / (stem + suffix)), paired))
        except ImageError as error:
            raise UserError(str(error)) from error
    write_atomic(names, '\n'.join(paired) + '\n')
    bare = sorted(stems.keys() - set(paired))
    whole = MapFolder(images, masks, [stems[stem] for stem in paired], found, bare, suffix, names)
    if len(whole.values) < 2:
        raise UserError(
            f'{masks}: no label map has more than one class, '
            f'{listed(list(map(str, whole.values)), 2)}: there is nothing to tell apart'
        )
    return whole


def _values(path: Path) -> set[int]:
    return set(np.flatnonzero(np.bincount(read_label_map(str(path)).ravel())).tolist())
