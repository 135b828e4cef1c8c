"""The machine that a process runs on: its cores, and the memory allocator of its C library."""

import ctypes
import os

# Parameters of mallopt (glibc's malloc.h), and values for them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER = (1 << 31) - 1
GIB = 1 << 30


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    # Where a process cannot be bound to cores (macOS), it may use all.
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Let this process keep memory that it frees, up to its peak, for what it allocates next.

    By default glibc returns large blocks to the system. A training on a CPU allocates tensors of
    the same sizes in every step, for which the system then has to zero the same pages again and
    again. Where the C library has no ``mallopt`` nothing is changed.
    """
    if mallopt := getattr(ctypes.CDLL(None), 'mallopt', None):
        mallopt(M_MMAP_THRESHOLD, GIB)
        mallopt(M_TRIM_THRESHOLD, NEVER)
