"""Random numbers as a function of the position in a run, so that resuming repeats them.

Nothing random depends on what was drawn before: every training step seeds what the model draws
(masks, views, stochastic depth, mixing) from (seed, iteration, rank), and every sample what its
pipeline draws from (seed, position in the stream of samples), whichever loader worker makes it.
"""

import hashlib
import random

import numpy as np
import torch

# So that a step and a sample of equal number draw different numbers.
STEP, SAMPLE, REPLACEMENT = 1, 2, 3


def words_from(*entropy: int) -> tuple[int, int, int]:
    """Hash integers in [0, 2^64) to three well-mixed numbers of 32, 32 and 64 bits."""
    packed = b''.join(number.to_bytes(8, 'little') for number in entropy)
    mixed = hashlib.blake2b(packed, digest_size=16).digest()
    first, second = int.from_bytes(mixed[:4], 'little'), int.from_bytes(mixed[4:8], 'little')
    return first, second, int.from_bytes(mixed[8:], 'little')


def seed_everything(*entropy: int) -> None:
    """Seed Python, NumPy and torch (all devices) from integers >= 0."""
    torch.manual_seed(_seed_cpu(*entropy))


def _seed_cpu(*entropy: int) -> int:
    """Seed what draws on the CPU; return the seed of torch.

    torch.manual_seed takes 0.2 ms where no device is in use: it formats a traceback for later.
    """
    first, second, third = words_from(*entropy)
    random.seed(first)
    np.random.seed(second)
    torch.default_generator.manual_seed(third)
    return third


def seed_step(seed: int, iteration: int, rank: int) -> None:
    """Seed what the process itself draws in one training step."""
    third = _seed_cpu(STEP, seed, iteration, rank)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(third)


def seed_sample(seed: int, position: int) -> None:
    """Seed what the pipeline of one sample draws, in a loader worker or in the process itself.

    ``position`` is that in the run's stream over all ranks, another one in every epoch.
    """
    _seed_cpu(SAMPLE, seed, position)
