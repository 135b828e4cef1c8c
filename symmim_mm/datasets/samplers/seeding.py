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
    first, second, third = words_from(*entropy)
    random.seed(first)
    np.random.seed(second)
    torch.manual_seed(third)


def seed_step(seed: int, iteration: int, rank: int) -> None:
    """Seed what the process itself draws in one training step."""
    first, second, third = words_from(STEP, seed, iteration, rank)
    random.seed(first)
    np.random.seed(second)
    # torch.manual_seed takes 0.2 ms where no device is in use: it formats a traceback for later.
    torch.default_generator.manual_seed(third)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(third)


def seed_sample(seed: int, position: int) -> None:
    """Seed what the pipeline of one sample draws, in a loader worker or in the process itself.

    Args:
        seed: of the run.
        position: of the sample in the run's stream, over all ranks; the same sample has another
            position in every epoch.
    """
    first, second, third = words_from(SAMPLE, seed, position)
    random.seed(first)
    np.random.seed(second)
    torch.default_generator.manual_seed(third)
