"""Preparation of one image: resized once, encoded so that parts of it decode fast."""

import cv2
import numpy as np
from PIL import Image

from symmim_mm.datasets.transforms.decode_region import EncodedImage, ImageError


def prepare_image(data: bytes, name: str, short_side: int, quality: int) -> bytes:
    """Encode an image as a JPEG whose shorter side is at most ``short_side``.

    Resized with Pillow's Lanczos filter, without chroma subsampling, turned upright, with optimized
    Huffman tables and a restart marker before every row of blocks, which is where
    :func:`cut_rows` can begin. A JPEG that is small enough and upright is kept byte for byte, once
    it has been decoded.

    Args:
        data: the whole file.
        name: of the file, for messages.
        short_side: in pixels; smaller images keep their size.
        quality: of libjpeg, 1 to 100.

    Raises:
        ImageError: the image cannot be decoded, or not be encoded.
    """
    encoded = EncodedImage(data, name)
    width, height = encoded.size
    header = encoded.header
    pixels = encoded.crop(0, 0, height, width)
    if min(width, height) <= short_side and header is not None and header.orientation == 1:
        return data
    if min(width, height) > short_side:
        scale = short_side / min(width, height)
        size = (max(short_side, round(width * scale)), max(short_side, round(height * scale)))
        # Pillow takes any order of the channels.
        pixels = np.asarray(
            Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.LANCZOS)
        )
    options = {
        cv2.IMWRITE_JPEG_QUALITY: quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        cv2.IMWRITE_JPEG_OPTIMIZE: 1,
        # Counted in blocks; without subsampling one has 8 x 8 pixels.
        cv2.IMWRITE_JPEG_RST_INTERVAL: -(-pixels.shape[1] // 8),
    }
    done, jpeg = cv2.imencode('.jpg', pixels, [x for pair in options.items() for x in pair])
    if not done:
        raise ImageError(f'{name} cannot be encoded as a JPEG')
    return jpeg.tobytes()
