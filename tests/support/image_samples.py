"""Images of every kind that a dataset may hold, made for real, and damaged ones."""

import struct
import zlib
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

ORIENTATION = 0x112


def make_image(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """A smooth colored image."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def encode(image: Image.Image, kind: str = 'JPEG', frames: int = 1, **options: Any) -> bytes:
    """An image file; with ``frames`` above 1, further images of the same size follow."""
    buffer = BytesIO()
    if frames > 1:
        more = [make_image(*image.size, n).convert(image.mode) for n in range(1, frames)]
        options |= dict(save_all=True, append_images=more)
    image.copy().save(buffer, kind, **options)  # saving leaves settings behind in the original
    return buffer.getvalue()


def tiff(*pages: tuple[np.ndarray, dict[str, Any]], **options: Any) -> bytes:
    """A TIFF of pages, each with the options of its own; ``options`` are those of the file."""
    buffer = BytesIO()
    with tifffile.TiffWriter(buffer, **options) as file:
        for pixels, described in pages:
            file.write(np.ascontiguousarray(pixels), metadata=None, **described)
    return buffer.getvalue()


def turned(value: int) -> Image.Exif:
    """EXIF data with an orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def png_of_size(
    width: int, height: int, depth: int = 8, color: int = 2, data: bytes | None = None
) -> bytes:
    """A PNG that claims to be ``width`` x ``height`` pixels, and has a few bytes unless given."""
    head = struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, 0)
    parts = {b'IHDR': head, b'IDAT': data or zlib.compress(bytes(1000)), b'IEND': b''}
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*part) for part in parts.items())


def damaged_animation() -> bytes:
    """An animated PNG whose first row names a filter that does not exist.

    OpenCV 4.12 alone answers it with a segmentation fault or never (its issue 27744).
    """
    data = encode(make_image(), 'PNG', frames=2)
    start = data.index(b'IDAT')
    end = start + 4 + int.from_bytes(data[start - 4 : start], 'big')
    rows = bytearray(zlib.decompress(data[start + 4 : end]))
    rows[0] = 9
    return data[: start - 4] + chunk(b'IDAT', zlib.compress(bytes(rows))) + data[end + 4 :]


def samples() -> dict[str, tuple[str, bytes, set[str]]]:
    """``(file name, bytes, kinds expected of a full check)`` by what they are."""
    image = make_image()
    jpeg, png = encode(image, quality=90), encode(image, 'PNG')
    deep = cv2.imencode('.png', np.asarray(image).astype(np.uint16) * 257)[1].tobytes()
    damaged = bytearray(png)
    damaged[len(png) // 2] ^= 0x55
    # Four channels, of which the last one is no alpha.
    tag, alpha, other = struct.pack('<HHI', 338, 3, 1), b'\2\0\0\0', b'\0\0\0\0'
    bands = encode(image.convert('RGBA'), 'TIFF').replace(tag + alpha, tag + other)
    return {
        'jpeg': ('a.JPEG', jpeg, set()),
        'progressive': ('a.jpg', encode(image, progressive=True), set()),
        'gray': ('a.jpg', encode(image.convert('L')), set()),
        'png': ('a.png', png, set()),
        'bmp': ('a.bmp', encode(image, 'BMP'), set()),
        'ppm': ('a.ppm', encode(image, 'PPM'), set()),
        'tiff': ('a.tif', encode(image, 'TIFF'), set()),
        'two images of a telephone': ('a.jpg', encode(image, 'MPO', frames=2), set()),
        'bytes behind the end': ('a.jpg', jpeg + b'trailer' * 9, set()),
        'empty': ('a.jpg', b'', {'empty'}),
        'zeros': ('a.jpg', bytes(500), {'not-an-image'}),
        'web page': ('a.jpg', b'<html>404 not found</html>', {'not-an-image'}),
        'head of a JPEG': ('a.jpg', jpeg[:100], {'not-an-image'}),
        'half a JPEG': ('a.jpg', jpeg[: len(jpeg) // 2], {'cut-off'}),
        'JPEG without end': ('a.jpg', jpeg[:-2], {'cut-off'}),
        'half a progressive JPEG': ('a.jpg', encode(image, progressive=True)[:900], {'cut-off'}),
        'half a PNG': ('a.png', png[: len(png) // 2], {'cut-off'}),
        'PNG without end': ('a.png', png[:-12], {'cut-off'}),
        'damaged PNG': ('a.png', bytes(damaged), {'cut-off'}),
        'half a BMP': ('a.bmp', encode(image, 'BMP')[:4000], {'cut-off'}),
        'half a TIFF': ('a.tif', encode(image, 'TIFF')[:4000], {'cut-off'}),
        'TIFF of floats': (
            'a.tif',
            encode(Image.fromarray(np.ones((48, 64), np.float32)), 'TIFF'),
            {'channels'},
        ),
        'four bands': ('a.tif', bands, {'channels'}),
        'bomb': ('a.png', png_of_size(60_000, 60_000), {'enormous'}),
        'smaller bomb': ('a.png', png_of_size(12_000, 12_000), {'enormous'}),
        'hole in a JPEG': (
            'a.jpg', jpeg[: len(jpeg) // 2] + b'\xff\xd9', {'decoder-warning'},
        ),
        'PNG named JPEG': ('a.JPEG', png, {'wrong-extension'}),
        'GIF named JPEG': ('a.jpg', encode(image, 'GIF'), {'wrong-extension', 'palette'}),
        'WebP named JPEG': ('a.jpg', encode(image, 'WEBP'), {'wrong-extension'}),
        'animated WebP': (
            'a.jpg', encode(image, 'WEBP', frames=2), {'wrong-extension', 'animated'},
        ),
        'CMYK': ('a.jpg', encode(image.convert('CMYK')), {'cmyk'}),
        '16-bit PNG': ('a.png', deep, {'16-bit'}),
        '16-bit gray PNG': (
            'a.png',
            encode(Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257), 'PNG'),
            {'16-bit'},
        ),
        '16-bit PPM': ('a.ppm', b'P6 20 20 65535\n' + bytes(2400), {'16-bit'}),
        'palette': ('a.png', encode(image.convert('P'), 'PNG'), {'palette'}),
        'transparent': ('a.png', encode(image.convert('RGBA'), 'PNG'), {'transparent'}),
        'transparent palette': (
            'a.png',
            encode(image.convert('P'), 'PNG', transparency=3),
            {'palette', 'transparent'},
        ),
        'animated PNG': ('a.png', encode(image, 'PNG', frames=2), {'animated'}),
        'two pages': ('a.tif', encode(image, 'TIFF', frames=2), {'channels'}),
        'rotated': ('a.jpg', encode(image, exif=turned(6)), {'rotated'}),
        'rotated PNG': ('a.png', encode(image, 'PNG', exif=turned(6)), {'rotated'}),
        'one pixel': ('a.jpg', encode(make_image(1, 1)), {'tiny'}),
        'one line': ('a.png', encode(make_image(300, 1), 'PNG'), {'tiny'}),
    }  # fmt: skip
