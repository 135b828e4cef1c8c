"""Sizes of images as labels give them, compared with those that training reads."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from symmim_mm.datacheck.coco.annotation_file import Size
from symmim_mm.datacheck.header import read_header
from symmim_mm.datasets.transforms.decode_region import open_image
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.paths import open_regular

SIDEWAYS = 5  # EXIF orientation from which width and height are exchanged


def check_sizes(file: Path, folder: Path, images: Iterable[tuple[str, Size]]) -> None:
    """Refuse a COCO file that gives an image another size than it is read with.

    Args:
        file: for the message.
        folder: that the names are relative to.
        images: names and ``(width, height)`` that the file gives.

    Raises:
        UserError: images of another size, or a file that is no image.
    """
    images = list(images)
    found = [(name, size, *read_size(folder / name, size)) for name, size in images]
    wrong = [(name, size, read, turned) for name, size, read, turned in found if size != read]
    if not wrong:
        return
    name, size, read, turned = wrong[0]
    by_exif = sum(one[3] for one in wrong)
    text = (
        f'{file}: {len(wrong)} of the {len(images)} images have another size there than when they '
        f'are read from {folder}, e.g. {name} {size[0]} x {size[1]}, read {read[0]} x {read[1]}, '
        'so that boxes and masks would be off'
    )
    if turned:
        raise UserError(
            f'{text}: the EXIF orientation of {by_exif} of them turns them upright; remove it '
            '(exiftool -Orientation= FILES) if the boxes fit the images without, else exchange '
            'width and height'
        )
    raise UserError(
        f'{text}: name the folder of the images that were annotated, or scale the annotations'
        + (f' ({by_exif} others are turned by their EXIF orientation)' if by_exif else '')
    )


def read_size(path: Path, stated: Size) -> tuple[Size, bool]:
    """Return ``(width, height)`` that training reads, and whether EXIF alone makes it differ.

    Raises:
        UserError: the file cannot be read, or is no image.
    """
    header = None
    with suppress(OSError), open_regular(path) as stream:  # reading it whole says why
        header = read_header(stream)
    if header and header.loaded_size == stated:
        return stated, False
    # Pillow does not know all images, and OpenCV may take damaged EXIF data differently.
    size = open_image(path).size
    turned = header is not None and header.orientation >= SIDEWAYS
    return size, turned and size == stated[::-1]
