"""Reading an image file and decoding the wanted part of it as OpenCV would decode it."""

import os
from collections.abc import Callable
from io import FileIO
from typing import BinaryIO

import numpy as np
import simplejpeg
from mmengine.fileio import get

from symmim_mm.datasets.transforms.bands import decode_bands
from symmim_mm.datasets.transforms.decode import decode_image
from symmim_mm.datasets.transforms.exif_orientation import stored_box, turn_upright, upright_size
from symmim_mm.datasets.transforms.jpeg_crop import cut_rows
from symmim_mm.datasets.transforms.jpeg_header import END, JpegHeader, read_jpeg_header
from symmim_mm.datasets.transforms.tiff import unread_in_tiff
from symmim_mm.utils.errors import UserError

MOST_PIXELS = 2**30  # OpenCV's own limit, for what OpenCV does not see


class ImageError(UserError):
    """An image that cannot be read, by name.

    A loader worker sends its exceptions to the main process with the traceback in the message;
    the line for the user is taken out of it there.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.strip().rsplit('ImageError: ', 1)[-1])


def read_file(
    path: str, backend_args: dict | None = None, opener: Callable[[str], BinaryIO] = FileIO
) -> bytes:
    """Read the bytes of an image file.

    Args:
        path: on this machine, or any that MMEngine's file backends understand.
        backend_args: as of ``mmcv.LoadImageFromFile``; None finds the backend by the path.
        opener: of files on this machine.

    Raises:
        ImageError: the file cannot be read.
    """
    try:
        if backend_args is None and '://' not in path:
            with opener(path) as file:
                return file.read()
        return get(path, backend_args=backend_args)
    except OSError as error:
        raise ImageError(f'cannot read {path}: {error.strerror or error}') from error


class EncodedImage:
    """An encoded image whose size is known and whose pixels are decoded on demand.

    A JPEG gives its size by its header and is decoded no further down than a region needs, and
    from no further up than the last restart marker before it, if it has any. Every other format,
    and rare kinds of JPEG, are decoded whole by OpenCV. Either way the pixels are bit for bit
    those of ``cv2.imdecode(data, cv2.IMREAD_COLOR)``, turned upright by the EXIF orientation.
    Images of another number of channels than 3 are decoded whole, by :func:`decode_bands`.

    Args:
        data: the whole file.
        name: of the file, for messages.
        channels: that the image must have; of 3 gray images are made color, and alpha is dropped.

    Attributes:
        pixels: BGR uint8 ``(H, W, 3)``, or float32 ``(H, W, channels)`` in [0, 255] of another
            number of channels; None where nothing was decoded whole yet.

    Raises:
        ImageError: ``data`` is no image, one that ends too early, or of other channels.
    """

    def __init__(self, data: bytes, name: str, channels: int = 3) -> None:
        self.data = data
        self.name = name
        self.channels = channels
        self.header: JpegHeader | None = read_jpeg_header(data)
        self.pixels: np.ndarray | None = None
        if self.header is None or self.header.width * self.header.height > MOST_PIXELS:
            self.decode_whole()
        elif data.rfind(END, self.header.scan) < 0:
            raise ImageError(f'{name} ends too early: copy or fetch it again, or remove it')
        elif channels != 3:
            self.decode_whole()

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` of the upright image."""
        if self.pixels is not None:
            return self.pixels.shape[1], self.pixels.shape[0]
        header = self.header
        return upright_size(header.width, header.height, header.orientation)

    def crop(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Decode a region of the upright image: ``(height, width, C)``, maybe a view, as `pixels`.

        Raises:
            ImageError: the pixels cannot be decoded.
        """
        header = self.header
        if self.pixels is None:
            box = stored_box((top, left, height, width), *header[:3])
            stored_top, stored_left, rows, columns = box
            cut, first = cut_rows(self.data, header, stored_top, stored_top + rows)
            try:
                # The cut always warns of bytes that no row needs, hence not strict.
                decoded = simplejpeg.decode_jpeg(cut, 'BGR', strict=False)
            except ValueError:  # damaged, or of a kind that only OpenCV knows
                self.decode_whole()
            else:
                start = stored_top - first
                part = decoded[start : start + rows, stored_left : stored_left + columns]
                return turn_upright(part, header.orientation)
        return self.pixels[top : top + height, left : left + width]

    def decode_whole(self) -> None:
        """Decode all pixels, now, or raise ImageError."""
        if self.channels != 3:
            try:
                self.pixels = decode_bands(self.data, self.channels)
            except ValueError as error:
                raise ImageError(f'{self.name} {error}') from error
            return
        if unread := unread_in_tiff(self.data):
            raise ImageError(f'{self.name} {unread.what}: {unread.advice}')
        self.pixels = decode_image(self.data)
        if self.pixels is None:
            raise ImageError(
                f'{self.name} is not an image that can be decoded '
                f'({len(self.data)} bytes): replace or remove it'
            )


def open_image(
    path: str | os.PathLike, backend_args: dict | None = None, channels: int = 3
) -> EncodedImage:
    """Read an image file, or raise ImageError."""
    path = os.fspath(path)
    return EncodedImage(read_file(path, backend_args), path, channels)


def take_image(results: dict, backend_args: dict | None = None, channels: int = 3) -> EncodedImage:
    """Return the image of ``img_bytes`` (which is taken out) or ``img_path`` of a pipeline.

    Raises:
        ImageError: it cannot be read.
    """
    path = results.get('img_path', 'an image without a name')
    data = results.pop('img_bytes', None)
    return EncodedImage(read_file(path, backend_args) if data is None else data, path, channels)
