"""Settings of the C library's memory allocator."""

import ctypes

# Parameters of mallopt (glibc's malloc.h), and values for them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER = (1 << 31) - 1
GIB = 1 << 30


def keep_freed_memory() -> None:
    """Let this process keep memory that it frees, up to its peak, for what it allocates next.

    By default glibc returns large blocks to the system. A training on a CPU allocates tensors of
    the same sizes in every step, for which the system then has to zero the same pages again and
    again. Where the C library has no ``mallopt`` nothing is changed.
    """
    if mallopt := getattr(ctypes.CDLL(None), 'mallopt', None):
        mallopt(M_MMAP_THRESHOLD, GIB)
        mallopt(M_TRIM_THRESHOLD, NEVER)
