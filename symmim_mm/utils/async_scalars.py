"""Asynchronous copies of logged scalars from a GPU."""

from collections import deque
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

LAG = 2  # steps by which reading stays behind a GPU, so that it never waits


class AsyncScalars:
    """Named scalars of successive steps, copied to the host while the GPU works on.

    Scalars of a GPU can be read ``LAG`` steps later without waiting; those of a CPU at once.
    """

    def __init__(self) -> None:
        self.pending: deque[tuple[list[str], Tensor, torch.cuda.Event | None]] = deque()

    def put(self, scalars: Mapping[str, Tensor]) -> None:
        """Start copying the scalars of one step, which are on one device, as float32."""
        values = torch.stack([value.detach().float().reshape(()) for value in scalars.values()])
        copied = None
        if values.is_cuda:
            host = torch.empty_like(values, device='cpu', pin_memory=True)
            values = host.copy_(values, non_blocking=True)
            copied = torch.cuda.Event()
            copied.record()
        self.pending.append((list(scalars), values, copied))

    def take(self, lag: int | None = None) -> Iterator[dict[str, float]]:
        """Yield the scalars of the steps that are ready, oldest first.

        Args:
            lag: newest steps to leave out; by default ``LAG`` on a GPU and none on a CPU. With 0
                this waits for all copies.
        """
        if lag is None:
            lag = LAG if self.pending and self.pending[-1][2] is not None else 0
        while len(self.pending) > lag:
            names, values, copied = self.pending.popleft()
            if copied is not None:
                copied.synchronize()
            yield dict(zip(names, values.tolist(), strict=True))
