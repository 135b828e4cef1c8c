"""What a folder of images holds: how many, how large, which colors, and what cannot be read."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from symmim_mm.datasets.folder_scan import EXTENSIONS, FolderScan
from symmim_mm.datasets.transforms.bands import resize_bands
from symmim_mm.datasets.transforms.decode_region import ImageError, open_image
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import counted

SAMPLED = 512  # images that are decoded
SIDE = 128  # pixels; larger images are reduced before their colors are measured


@dataclass
class FolderSurvey:
    """A folder of images.

    Args:
        root: the folder.
        images: paths below it, sorted.
        others: number of files with another suffix, by suffix.
        classes: class folders with at least five images, where all images lie in such.
        shorter_side: median over the sample, in pixels.
        mean, std: of red, green and blue, or of each of other ``channels`` as the files have them,
            over the sample, in [0, 255].
        unreadable: reason by path, of the sample.
        sampled: number of images that were decoded.
        channels: that the images are to have.
    """

    root: Path
    images: list[str]
    others: Counter[str]
    classes: tuple[str, ...] = ()
    shorter_side: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)
    sampled: int = 0
    channels: int = 3

    def describe(self) -> str:
        """Return what was found, in lines."""
        lines = [f'{len(self.images)} images in {self.root}, shorter side {self.shorter_side}']
        if self.channels != 3:
            lines[0] += f', {counted(self.channels, "channel")}'
        if self.classes:
            lines.append(f'{len(self.classes)} folders that may be classes')
        if self.others:
            kinds = ', '.join(f'{count} {name}' for name, count in self.others.most_common(5))
            lines.append(f'not read: {kinds}')
        for path, reason in list(self.unreadable.items())[:3]:
            lines.append(f'not readable: {path}: {reason}')
        return '\n'.join(lines)


def survey(folder: str | os.PathLike, sample: int = SAMPLED, channels: int = 3) -> FolderSurvey:
    """List a folder and decode a sample of its images, spread evenly.

    Args:
        folder: of images, sub-folders included.
        sample: number of images to decode.
        channels: that the images must have; of 3 gray images are made color, and alpha is dropped.

    Raises:
        UserError: no folder, no images, most files are no images or cannot be read, or a folder
            that cannot be listed.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise UserError(f'{folder}: no such folder')
    scan = FolderScan(str(root))
    images = sorted(scan.images())
    others = Counter({name or 'without suffix': number for name, number in scan.others.items()})
    found = FolderSurvey(root, images, others, channels=channels)
    if len(images) < sum(others.values()) or not images:
        raise UserError(
            f'{folder}: {len(images)} images and {sum(others.values())} other files '
            f'({", ".join(name for name, _ in others.most_common(5)) or "none"}); '
            f'images are {", ".join(EXTENSIONS)}: name a folder of images'
        )
    top = Counter(path.split('/')[0] for path in images if '/' in path)
    if len(top) > 1 and sum(top.values()) == len(images) and min(top.values()) >= 5:
        found.classes = tuple(sorted(top))
    if sample:
        measure(found, sample)
    if len(found.unreadable) > found.sampled / 2:
        path, reason = next(iter(found.unreadable.items()))
        raise UserError(
            f'{folder}: {len(found.unreadable)} of {found.sampled} images cannot be read, '
            f'e.g. {path}: {reason}'
        )
    return found


def measure(found: FolderSurvey, sample: int = SAMPLED) -> FolderSurvey:
    """Decode a sample; an image weighs as much as another, whatever its size."""
    found.sampled = min(sample, len(found.images))
    sides: list[int] = []
    means, squares = [], []
    for number in range(found.sampled):
        path = found.images[number * len(found.images) // found.sampled]
        try:
            image = open_image(os.path.join(found.root, path), channels=found.channels)
            if image.pixels is None:
                image.decode_whole()
        except ImageError as error:
            found.unreadable[path] = str(error)
            continue
        pixels = image.pixels
        sides.append(min(pixels.shape[:2]))
        factor = SIDE / max(pixels.shape[:2])
        if factor < 1:
            height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
            pixels = resize_bands(pixels, (width, height), interpolation=cv2.INTER_AREA)
        order = slice(None, None, -1 if found.channels == 3 else 1)  # OpenCV's is BGR
        colors = pixels.reshape(-1, found.channels)[:, order].astype(np.float64)
        means.append(colors.mean(axis=0))
        squares.append((colors**2).mean(axis=0))
    if not sides:
        return found
    mean = np.mean(means, axis=0)
    # A folder of one gray level has no spread; 1 keeps the division possible.
    std = np.sqrt(np.maximum(np.mean(squares, axis=0) - mean**2, 1.0))
    found.shorter_side = int(np.median(sides))
    found.mean = tuple(round(float(value), 3) for value in mean)
    found.std = tuple(round(float(value), 3) for value in std)
    return found
