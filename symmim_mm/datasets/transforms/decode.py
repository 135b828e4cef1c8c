"""Decoding of images and label maps as the libraries of a training decode them, safely."""

from io import BytesIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
ANIMATION_CHUNKS = (b'acTL', b'fcTL', b'fdAT')  # PNG, third edition, 11.3.5
CHUNK_OVERHEAD = 12  # bytes of a chunk around its data: length, name, checksum

IGNORED = 255  # MMSegmentation's label of pixels that do not count


def decode_image(data: bytes, flag: int = cv2.IMREAD_COLOR) -> np.ndarray | None:
    """Decode a whole file as OpenCV does, safely.

    Returns:
        The pixels, BGR uint8 ``(H, W, 3)`` for the default flag; None where there are none.
    """
    try:
        return cv2.imdecode(np.frombuffer(strip_animation(data), np.uint8), flag)
    except cv2.error:  # an empty file, or more pixels than OpenCV allows
        return None


def strip_animation(data: bytes) -> bytes:
    """Return a PNG without the chunks of its animation; ``data`` itself where there are none.

    OpenCV 4.12 reads an animation in a way of its own, in which a damaged first frame ends the
    process or makes it wait for ever (its issue 27744). Without these chunks the same bytes are an
    ordinary PNG, whose pixels are those of the first frame or, where the animation has a still
    image as well, of that one: bit for bit what OpenCV reads of an animation that is whole.
    """
    if not data.startswith(PNG_SIGNATURE):
        return data
    kept, start, position = [], 0, len(PNG_SIGNATURE)
    while position + CHUNK_OVERHEAD <= len(data):
        end = position + CHUNK_OVERHEAD + int.from_bytes(data[position : position + 4], 'big')
        if data[position + 4 : position + 8] in ANIMATION_CHUNKS:
            kept.append(data[start:position])
            start = end
        position = end
    return b''.join((*kept, data[start:])) if kept else data


class FindingError(ValueError):
    """What is wrong with a file or an entry; ``kind`` is that of ``tools/check_dataset.py``."""

    def __init__(self, kind: str, reason: str = '') -> None:
        super().__init__(reason)
        self.kind = kind


def decode_label_map(data: bytes, formats: tuple[str, ...] | None = None) -> np.ndarray:
    """Decode a label map with Pillow, as MMSegmentation does, but keep the values as they are.

    Args:
        data: the whole file.
        formats: Pillow's names of the formats to try; None tries all.

    Returns:
        Labels ``(H, W)`` of an integer type, or bool.

    Raises:
        FindingError: the file cannot be decoded, or holds several channels or fractions.
    """
    try:
        with Image.open(BytesIO(data), formats=formats) as image:
            mode, labels = image.mode, np.array(image)
    except UnidentifiedImageError as error:  # its message names a buffer
        raise FindingError('map-unreadable', 'no image that Pillow knows') from error
    except Exception as error:  # a damaged file makes Pillow's readers raise almost anything
        raise FindingError('map-unreadable', ' '.join(str(error).split())) from error
    if mode == 'F':
        raise FindingError('map-float', 'floating-point numbers')
    if labels.ndim > 2:
        raise FindingError('map-channels', f'{labels.shape[2]} channels, {mode}')
    return labels
