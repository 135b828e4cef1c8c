"""Decoding of images of any number of channels: gray, with transparency, TIFFs of many bands."""

import math

import cv2
import numpy as np

from symmim_mm.datasets.transforms.decode import PNG_SIGNATURE, decode_image
from symmim_mm.datasets.transforms.tiff import REDUCED_OR_MASK, SIGNATURES, open_tiff
from symmim_mm.utils.text import counted

GRAY_ALPHA = 4  # PNG, third edition, 11.2.1: the byte after the bit depth
MOST_VALUES = 2**30  # of an array, as OpenCV's limit of pixels


def decode_bands(data: bytes, channels: int) -> np.ndarray:
    """Decode a whole file with all its channels, in their order in the file.

    OpenCV reads gray images, upright, and all PNGs; tifffile reads TIFFs of several bands, which
    may be interleaved by pixel, one plane after the other, or a page each. Images of several
    channels are not turned by an orientation tag.

    Returns:
        float32 ``(H, W, channels)`` in [0, 255]; 16 bits keep their precision.

    Raises:
        ValueError: what is wrong with the file, to be read after its name.
    """
    is_tiff = data[:4] in SIGNATURES
    pixels = _decode_tiff(data, channels) if is_tiff else _decode_by_opencv(data)
    if pixels is None or not pixels.size:
        raise ValueError(
            f'is not an image that can be decoded ({len(data)} bytes): replace or remove it'
        )
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f'holds {pixels.dtype}: convert it to 8 or 16 bits without sign')
    _check_count(pixels.shape[2], channels)
    values = pixels.astype(np.float32)
    return values / 257 if pixels.dtype == np.uint16 else values


def _check_count(found: int, channels: int) -> None:
    if found != channels:
        raise ValueError(
            f'has {counted(found, "channel")}, and {channels} are read: remove it, or pre-train '
            f'with --channels {found}'
        )


def _decode_by_opencv(data: bytes) -> np.ndarray | None:
    """Return gray ``(H, W)``, RGB, RGBA or gray with alpha ``(H, W, C)``, in 8 or 16 bits."""
    pixels = decode_image(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if pixels is None or pixels.ndim == 2:
        return pixels
    pixels = decode_image(data, cv2.IMREAD_UNCHANGED)  # with alpha
    if pixels is None:
        return None
    if data.startswith(PNG_SIGNATURE) and data[25] == GRAY_ALPHA:
        return pixels[..., [0, 3]]
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def _decode_tiff(data: bytes, channels: int) -> np.ndarray | None:
    """Return gray ``(H, W)`` or the bands ``(H, W, C)`` of a TIFF, None if it is damaged."""
    try:
        series = open_tiff(data).series
        images = [one for one in series if not one.keyframe.subfiletype & REDUCED_OR_MASK]
    except Exception:  # a damaged file makes the reader raise almost anything
        return None
    if len(images) > 1 or any(one.ndim > 3 for one in images):
        shapes = ', '.join('x'.join(map(str, one.shape)) for one in images[:4])
        raise ValueError(f'holds more than one image ({shapes}): write each into its own file')
    if not images or math.prod(images[0].shape) > MOST_VALUES:
        return None
    image = images[0]
    if image.ndim < 3:
        return _decode_by_opencv(data)
    bands = next(axis for axis, name in enumerate(image.axes) if name not in 'YX')
    _check_count(image.shape[bands], channels)
    try:
        if len(image.keyframe.dataoffsets) < math.prod(image.keyframe.chunked):
            return None  # tifffile would fill what is missing with zeros
        pixels = image.asarray()
    except Exception as error:
        if 'imagecodecs' not in str(error):
            return None
        raise ValueError(
            f'needs imagecodecs ({error}): pip install imagecodecs, or write it without '
            'compression or with DEFLATE'
        ) from error
    return np.moveaxis(pixels, bands, 2)


def resize_bands(image: np.ndarray, size: tuple[int, int] | None, **options: float) -> np.ndarray:
    """Resize ``(H, W, C)`` of any number of channels as ``cv2.resize`` does three.

    OpenCV alone averages areas of four channels at most, and leaves out the axis of one.

    Args:
        image: uint8 or float32.
        size: ``(width, height)`` wanted.
        **options: as of ``cv2.resize``.
    """
    parts = [image] if image.shape[2] == 3 else cv2.split(image)
    return np.dstack([cv2.resize(part, size, **options) for part in parts])
