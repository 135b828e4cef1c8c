"""Images of our own, and encodings of them, for the tests of loading."""

from pathlib import Path

import cv2
import image_samples
import numpy as np
from image_samples import encode
from PIL import Image

from symmim_mm.datasets.sample.layouts import image_rng
from symmim_mm.datasets.sample.scenes import draw_scene

SAMPLING = {
    '4:4:4': cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    '4:2:2': cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    '4:4:0': cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    '4:2:0': cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    '4:1:1': cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}


def drawn(height: int, width: int, index: int = 0) -> np.ndarray:
    """A drawn scene with some grain, BGR uint8 ``(height, width, 3)``."""
    size = max(height, width, 32)
    scene = draw_scene(image_rng(0, 'coco', 0, index), size).image[..., ::-1]
    grain = np.random.default_rng(index).normal(0, 6, (size, size, 3))
    grain = cv2.GaussianBlur(grain, (3, 3), 0)  # as of a camera, not of one pixel
    return np.clip(scene + grain, 0, 255).astype(np.uint8)[:height, :width]


def jpeg(
    image: np.ndarray,
    sampling: str = '4:2:0',
    progressive: bool = False,
    restart: int = 0,
    quality: int = 90,
) -> bytes:
    """A JPEG of an image, gray ``(H, W)`` or BGR; ``restart`` in minimum coded units."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    options += [cv2.IMWRITE_JPEG_RST_INTERVAL, restart]
    if image.ndim == 3:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLING[sampling]]
    done, data = cv2.imencode('.jpg', image, options)
    assert done
    return data.tobytes()


def pillow(image: np.ndarray, kind: str = 'JPEG', mode: str = 'RGB', **options) -> bytes:
    """A BGR image as Pillow writes it."""
    return encode(Image.fromarray(image[..., ::-1]).convert(mode), kind, **options)


def turned(image: np.ndarray, orientation: int) -> bytes:
    """A JPEG with an EXIF orientation."""
    return pillow(image, exif=image_samples.turned(orientation))


def decoded(data: bytes) -> np.ndarray:
    """What stock pipelines decode."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 images in dB, 99 where they are equal."""
    error = ((one.astype(np.float64) - other) ** 2).mean()
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def folder_of_jpegs(folder: Path, count: int = 12, size: tuple[int, int] = (260, 330)) -> list[str]:
    """JPEGs in all samplings in one folder; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        sampling = list(SAMPLING)[index % len(SAMPLING)]
        path = folder / f'{index:03d}.jpg'
        path.write_bytes(jpeg(drawn(*size, index), sampling, progressive=index % 4 == 3))
        paths.append(str(path))
    return paths
