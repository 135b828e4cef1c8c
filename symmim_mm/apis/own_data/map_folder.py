"""Two folders, of images and of label maps: pairs by name, classes, and what is held out."""

import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from symmim_mm.apis.own_data.image_sizes import read_size
from symmim_mm.apis.own_data.map_values import are_smoothed, read_values
from symmim_mm.apis.own_data.plan import write_list
from symmim_mm.datasets.label_share import Share, choose_part
from symmim_mm.datasets.survey import survey
from symmim_mm.datasets.transforms.decode import IGNORED
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.host import available_cores
from symmim_mm.utils.text import counted, listed

SAMPLED = 50  # images by whose names those of label maps are understood
CANDIDATES = 20  # ways to name label maps that are counted for all images


@dataclass(frozen=True)
class MapFolder:
    """Images with label maps."""

    images: Path  # the folders
    masks: Path
    files: list[str]  # images with a label map, below the folder
    found: list[frozenset[int]]  # the values of each of these maps
    bare: list[str]  # images without
    suffix: str  # what follows an image's name without its ending in that of the label map
    names: Path  # file with the names without ending, one a line
    values: list[int]  # the classes, those of the whole data in a part of it, too

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their values."""
        if self.values in ([0, 1], [0, IGNORED]):
            return ['background', 'object']
        return [f'class {value}' for value in self.values]

    @property
    def absent(self) -> list[str]:
        """The names of the classes that none of the maps has."""
        found = set().union(*self.found)
        named = zip(self.values, self.classes, strict=True)
        return [name for value, name in named if value not in found]

    def part(self, numbers: Iterable[int], names: Path) -> 'MapFolder':
        """Return some of the images, by number, and write their names into another file."""
        kept = sorted(numbers)
        files = [self.files[number] for number in kept]
        write_list(names, self.images, (os.path.splitext(file)[0] for file in files))
        return replace(
            self, files=files, found=[self.found[number] for number in kept], names=names
        )

    def split(self, train_share: Share, val_share: Share) -> tuple[list[int], list[int]]:
        """Return the numbers of the images to train on, and of those to hold out.

        A held-out image with a class that is in no training map is trained on instead, unless it is
        the only one left.

        Raises:
            UserError: there is none to hold out.
        """
        train, val = (
            choose_part(range(len(self.files)), self.files.__getitem__, share, least=1)
            for share in (train_share, val_share)
        )
        if not val:
            raise UserError(
                f'{self.masks} has {counted(len(self.files), "label map")}, too few to '
                f'hold out {val_share[1] - val_share[0]:.0%} of them: label more, give a larger '
                'share to --val, or --val none'
            )
        absent = set(self.values).difference(*(self.found[number] for number in train))
        for number in list(val):
            if absent & self.found[number] and len(val) > 1:
                val.remove(number)
                train.append(number)
                absent -= self.found[number]
        return train, val


def open_maps(images: Path, masks: Path, names: Path) -> MapFolder:
    """Pair images with label maps by name, and read the values of all maps.

    Raises:
        UserError: no pairs, several endings of images, or maps that cannot be used.
    """
    pairs, bare, suffix = _pair(images, masks)
    with ThreadPoolExecutor(available_cores()) as pool:
        read = list(pool.map(lambda path: read_values(str(masks / path)), pairs.values()))
    for (file, path), label_map in zip(pairs.items(), read, strict=True):
        _check_size(images / file, masks / path, label_map.size)
    found = [label_map.values for label_map in read]
    if are_smoothed(read):
        odd = next(
            path for path, label_map in zip(pairs.values(), read, strict=True) if label_map.steps
        )
        raise UserError(
            f'{masks}: the edges of masks of 0 and 255 have values between these, as in {odd}, by '
            'smoothing or compression: resize with nearest neighbor and save as PNG, or set values '
            'below 128 to 0 and others to 255'
        )
    values = sorted(set().union(*found))
    if values != [0, IGNORED]:  # which are background and object
        values = [value for value in values if value != IGNORED]
    if len(values) < 2:
        raise UserError(
            f'{masks}: no label map has more than one class, '
            f'{listed(list(map(str, values)), 2)}: there is nothing to tell apart'
        )
    whole = MapFolder(images, masks, list(pairs), found, bare, suffix, names, values)
    return whole.part(range(len(pairs)), names)


def _pair(images: Path, masks: Path) -> tuple[dict[str, str], list[str], str]:
    """Return the label map of each image that has one, the other images, and maps' suffix."""
    files = survey(images, sample=0).images
    maps = set(survey(masks, sample=0).images)
    endings = Counter(os.path.splitext(path)[1] for path in files)
    if len(endings) > 1:
        raise UserError(
            f'{images} has images that end in {listed(list(endings), 4)}: MMSegmentation reads '
            'one ending at a time; convert or rename them'
        )
    stems = {file: os.path.splitext(file)[0] for file in files}
    if odd := next((stem for stem in stems.values() if stem != stem.strip()), None):
        raise UserError(f'{images}: {odd!r} has spaces around it, which lists lose: rename it')
    suffixes = _suffixes(list(stems.values()), maps)
    suffix = suffixes[0] if suffixes else ''
    pairs = {
        file: stem + suffix for file, stem in stems.items() if suffix and stem + suffix in maps
    }
    if 2 * len(pairs) < len(files):
        raise UserError(
            f'{len(pairs)} of the {len(files)} images of {images} have a label map of the same '
            f'name in {masks}, e.g. {files[0]} has none: name both alike'
        )
    if len(suffixes) > 1:
        raise UserError(
            f'{masks} has several label maps for each image, which end in {listed(suffixes, 4)}: '
            'keep those of one kind'
        )
    for file, path in pairs.items():
        if os.path.samefile(images / file, masks / path):
            raise UserError(
                f'{images} and {masks} share files, e.g. {file}, which would be its own label '
                'map: keep images and label maps in folders of their own'
            )
    return pairs, [file for file in files if file not in pairs], suffix


def _suffixes(stems: list[str], maps: set[str]) -> list[str]:
    """Return how maps' names continue after those of their images: what most images have.

    There are several where as many images have one as another.
    """
    sample = stems[:SAMPLED]
    ways = Counter(
        path[len(stem) :] for path in sorted(maps) for stem in sample if path.startswith(stem)
    )
    # As 1 and 10 begin alike there are many more by chance, each of few images.
    counts = {
        way: sum(stem + way in maps for stem in stems) for way, _ in ways.most_common(CANDIDATES)
    }
    best = [way for way, count in counts.items() if count == max(counts.values())]
    # Of few numbered images 0.png fits as well, as 1 and 0.png make 10.png.
    plain = [way for way in best if way.startswith('.')]
    return plain if len(plain) == 1 else best


def _check_size(image: Path, label_map: Path, size: tuple[int, int]) -> None:
    """Raise UserError where an image, turned upright as it is loaded, has another size."""
    loaded, _ = read_size(image, size)
    if loaded != size:
        raise UserError(
            f'{image} has {loaded[0]} x {loaded[1]} pixels, upright as it is loaded, and its label '
            f'map {label_map} {size[0]} x {size[1]}: save them alike, without an EXIF orientation'
        )
