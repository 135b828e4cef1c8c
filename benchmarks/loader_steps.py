"""What the loader's benchmark compares with, other than whole pipelines."""

from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg

from symmim_mm.datasets.transforms.crops import LoadRandomResizedCrop
from symmim_mm.datasets.transforms.decode_region import EncodedImage, read_file
from symmim_mm.datasets.transforms.jpeg_crop import cut_rows
from symmim_mm.datasets.transforms.jpeg_header import JpegHeader, read_jpeg_header

Job = tuple[bytes, JpegHeader, int, int]
"""A JPEG, its header, and the rows of a crop."""


class DecodeWhole(LoadRandomResizedCrop):
    """Ours, but every image is decoded to its last row, by OpenCV."""

    def open(self, results: dict) -> EncodedImage:
        """Return the image as ``LoadRandomResizedCrop`` does, decoded."""
        image = super().open(results)
        image.decode_whole()
        return image


def decoding_jobs(paths: list[str], crop: LoadRandomResizedCrop) -> list[Job]:
    """Draw one random crop of every JPEG, files in memory."""
    np.random.seed(0)
    jobs = []
    for path in paths:
        data = read_file(path)
        header = read_jpeg_header(data)
        if header is None or header.orientation != 1:
            continue
        width, height = EncodedImage(data, path).size
        top, _, rows, _ = crop.rand_crop_params(np.broadcast_to(np.uint8(0), (height, width)))
        jobs.append((data, header, top, top + rows))
    return jobs


def decode_all(jobs: list[Job], decode: Callable[[Job], np.ndarray]) -> int:
    """Decode every job and return how many there were."""
    for job in jobs:
        decode(job)
    return len(jobs)


def by_opencv(job: Job) -> np.ndarray:
    """Decode all of an image, as stock pipelines decode it."""
    return cv2.imdecode(np.frombuffer(job[0], np.uint8), cv2.IMREAD_COLOR)


def by_simplejpeg(job: Job) -> np.ndarray:
    """Decode all of an image."""
    return simplejpeg.decode_jpeg(job[0], 'BGR', strict=False)


def by_rows(job: Job) -> np.ndarray:
    """Decode the image down to the last row of the crop."""
    data, header, top, bottom = job
    return simplejpeg.decode_jpeg(cut_rows(data, header, top, bottom)[0], 'BGR', strict=False)
