"""Numbers on their way from the device, for which nobody waits."""

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

LAG = 2  # steps that a GPU may be ahead of what is known about them


class LateNumbers:
    """A small tensor that is copied to the host while the program goes on.

    Args:
        values: of any shape and type; on the CPU they are there at once.
    """

    def __init__(self, values: Tensor) -> None:
        self.event = None
        self.values = values
        if values.is_cuda:
            self.values = torch.empty_like(values, device='cpu', pin_memory=True)
            self.values.copy_(values, non_blocking=True)
            self.event = torch.cuda.Event()
            self.event.record()

    def numbers(self) -> list:
        """Python's numbers, after waiting for them where they are not there yet."""
        if self.event is not None:
            self.event.synchronize()
        return self.values.tolist()


class LateQueue:
    """Named numbers of one step after another, handed out when they are there.

    Those of a GPU are handed out ``LAG`` steps later, when reading them costs no waiting.
    """

    def __init__(self) -> None:
        self.waiting: deque[tuple[list[str], LateNumbers]] = deque()

    def put(self, numbers: dict[str, Tensor]) -> None:
        """Add scalars of one device and one step."""
        values = torch.stack([value.detach().float().reshape(()) for value in numbers.values()])
        self.waiting.append((list(numbers), LateNumbers(values)))

    def take(self, lag: int | None = None) -> Iterator[tuple[str, float]]:
        """What is ready, oldest first; ``lag=0`` waits for everything."""
        if lag is None:
            lag = LAG if self.waiting and self.waiting[-1][1].event is not None else 0
        while len(self.waiting) > lag:
            names, late = self.waiting.popleft()
            yield from zip(names, late.numbers(), strict=True)
