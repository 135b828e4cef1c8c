"""The most memory that tensors take at one time, followed operation by operation."""

import weakref
from collections.abc import Iterable

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.weak import WeakIdKeyDictionary


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of every storage that lives, from the operation that makes it to its end.

    Works on stand-ins of tensors (``FakeTensorMode``, entered before this one) as on real ones.
    Views share a storage and count once. What a kernel needs inside, and what an allocator
    rounds up or keeps, is not seen.

    Args:
        known: tensors whose storages do not count, such as parameters.

    ``live`` and ``peak`` are bytes.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen = WeakIdKeyDictionary(ref_type=weakref.ref)
        for tensor in known:
            self._seen[tensor.untyped_storage()] = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operation and count what it returns."""
        out = func(*args, **(kwargs or {}))
        for value in tree_iter(out):
            if isinstance(value, Tensor):
                self._count(value)
        return out

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._seen:
            return
        size = storage.nbytes()
        self._seen[storage] = size
        weakref.finalize(storage, self._release, size)
        self.live += size
        self.peak = max(self.peak, self.live)

    def _release(self, size: int) -> None:
        self.live -= size
