"""Read a picture file and decode the part of it that is wanted, as OpenCV would decode it."""

import os

import cv2
import numpy as np
import simplejpeg
from mmengine.fileio import get

from symmim_mm.datasets.transforms.apng import still_png
from symmim_mm.datasets.transforms.box import Box
from symmim_mm.datasets.transforms.exif_orientation import stored_box, turn_upright, upright_size
from symmim_mm.datasets.transforms.jpeg_crop import cut_rows
from symmim_mm.datasets.transforms.jpeg_header import END, JpegHeader, read_jpeg_header
from symmim_mm.utils.errors import UserError

MOST_PIXELS = 2**30  # OpenCV's own limit, for what OpenCV does not see


class PictureError(UserError):
    """A picture that cannot be read, by name.

    A loader worker sends its exceptions to the main process with the traceback in the message;
    the line for the user is taken out of it there.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.strip().rsplit('PictureError: ', 1)[-1])


def read_file(path: str, backend_args: dict | None = None) -> bytes:
    """The bytes of a picture file.

    Args:
        path: on this machine, or any that MMEngine's file backends understand.
        backend_args: as of ``mmcv.LoadImageFromFile``; None finds the backend by the path.

    Raises:
        PictureError: the file cannot be read.
    """
    try:
        if backend_args is None and '://' not in path:
            with open(path, 'rb', buffering=0) as file:
                return file.read()
        return get(path, backend_args=backend_args)
    except OSError as error:
        raise PictureError(f'cannot read {path}: {error.strerror or error}') from error


class Picture:
    """An encoded picture whose size is known and whose pixels are decoded on demand.

    A JPEG gives its size by its header and is decoded no further down than a region needs, and
    from no further up than the last restart marker before it, if it has any. Every other format,
    and rare kinds of JPEG, are decoded whole by OpenCV. Either way the pixels are bit for bit
    those of ``cv2.imdecode(data, cv2.IMREAD_COLOR)``, turned upright by the EXIF orientation.

    Args:
        data: the whole file.
        name: of the file, for messages.

    Raises:
        PictureError: ``data`` is no picture, or one that ends too early.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        self.header: JpegHeader | None = read_jpeg_header(data)
        self.pixels: np.ndarray | None = None
        if self.header is None or self.header.width * self.header.height > MOST_PIXELS:
            self.decode_whole()
        elif data.rfind(END, self.header.scan) < 0:
            raise PictureError(f'{name} ends too early: copy or fetch it again, or remove it')

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` upright."""
        if self.pixels is not None:
            return self.pixels.shape[1], self.pixels.shape[0]
        header = self.header
        return upright_size(header.width, header.height, header.orientation)

    def region(self, box: Box) -> np.ndarray:
        """Decode the pixels of a box, BGR uint8 ``(box.height, box.width, 3)``, maybe a view.

        Raises:
            PictureError: the pixels cannot be decoded.
        """
        if self.pixels is None:
            header = self.header
            stored = stored_box(box, header.width, header.height, header.orientation)
            cut, first = cut_rows(self.data, header, stored.top, stored.bottom)
            try:
                # The cut always warns of bytes that no row needs, hence not strict.
                rows = simplejpeg.decode_jpeg(cut, 'BGR', strict=False)
            except ValueError:  # damaged, or of a kind that only OpenCV knows
                self.decode_whole()
            else:
                part = rows[stored.top - first : stored.bottom - first, stored.left : stored.right]
                return turn_upright(part, header.orientation)
        return self.pixels[box.top : box.bottom, box.left : box.right]

    def decode_whole(self) -> None:
        """Have OpenCV decode all pixels, now.

        Raises:
            PictureError: they cannot be decoded.
        """
        try:
            encoded = np.frombuffer(still_png(self.data), np.uint8)
            self.pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        except cv2.error:  # an empty file, or more pixels than OpenCV allows
            self.pixels = None
        if self.pixels is None:
            raise PictureError(
                f'{self.name} is not a picture that can be decoded '
                f'({len(self.data)} bytes): replace or remove it'
            )


def open_picture(path: str | os.PathLike, backend_args: dict | None = None) -> Picture:
    """Read a picture file.

    Raises:
        PictureError: it cannot be read or decoded.
    """
    path = os.fspath(path)
    return Picture(read_file(path, backend_args), path)
