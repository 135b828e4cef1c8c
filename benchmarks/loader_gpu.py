"""JPEGs decoded by a GPU (nvJPEG, through torchvision), cropped and resized there."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch.nn.functional import interpolate
from torchvision.io import ImageReadMode, decode_jpeg

from benchmarks.common import interleave, rates, say, timed
from symmim_mm.datasets.transforms.crops import LoadRandomResizedCrop
from symmim_mm.datasets.transforms.decode_region import read_file

BATCH = 100
HOST, DEVICE = 'ours, one core', 'GPU: decode, crop, resize'


def measure_gpu(
    dataset: Sequence, paths: list[str], crop: LoadRandomResizedCrop, size: int, repeats: int
) -> dict:
    """Measure our dataset in this process, and the same work on the GPU."""
    files = [read_file(path) for path in paths]
    cases = {
        HOST: partial(timed, lambda: sum(1 for i in range(len(dataset)) if dataset[i])),
        DEVICE: partial(timed, partial(_on_gpu, files, crop, size)),
    }
    cases[DEVICE]()  # nvJPEG and the allocator start
    return rates(interleave(cases, repeats, say), HOST)


def _on_gpu(files: list[bytes], crop: LoadRandomResizedCrop, size: int) -> int:
    """Make batches of crops uint8 ``(B, 3, size, size)`` on the device; return how many images."""
    for start in range(0, len(files), BATCH):
        encoded = [
            torch.frombuffer(bytearray(data), dtype=torch.uint8)
            for data in files[start : start + BATCH]
        ]
        images = decode_jpeg(encoded, mode=ImageReadMode.RGB, device='cuda')
        crops = []
        for image in images:
            shape = np.broadcast_to(np.uint8(0), tuple(image.shape[1:]))
            top, left, rows, columns = crop.rand_crop_params(shape)
            part = image[None, :, top : top + rows, left : left + columns].float()
            part = interpolate(part, (size, size), mode='bicubic', antialias=True)
            crops.append(part.round_().clamp_(0, 255).to(torch.uint8))
        torch.cat(crops)
    torch.cuda.synchronize()
    return len(files)
