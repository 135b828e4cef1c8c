"""How many operations a second a device does in a matrix product: what MFU is a share of."""

import time

import torch

from benchmarks.common import spread

SIDES = dict(cpu=(2048,), cuda=(4096, 8192, 16384))
SECONDS = 0.5  # of each repeat


def matrix_rate(device: torch.device, dtype: torch.dtype, repeats: int = 7) -> dict:
    """Floating point operations a second of the product of two square matrices.

    Several sizes are tried, and that of the highest median counts. Nothing is taken from a data
    sheet, so that clocks, power limits and threads are those of the measurement beside it.

    Returns:
        ``dict(dtype, side, rate)``, ``rate`` with its spread.
    """
    found = []
    for side in SIDES[device.type]:
        left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        operations = 2 * side**3
        _seconds(left, right, 2)  # libraries choose their kernels
        count = max(1, round(SECONDS / _seconds(left, right, 1)))
        rates = [operations * count / _seconds(left, right, count) for _ in range(repeats)]
        found.append(dict(dtype=str(dtype).split('.')[-1], side=side, rate=spread(rates)))
    return max(found, key=lambda case: case['rate']['median'])


def _seconds(left: torch.Tensor, right: torch.Tensor, count: int) -> float:
    # The clock by which steps are timed, too.
    alone = not left.is_cuda and torch.get_num_threads() == 1
    now = time.process_time if alone else time.perf_counter
    _wait(left)
    start = now()
    for _ in range(count):
        left @ right
    _wait(left)
    return now() - start


def _wait(tensor: torch.Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()
