"""A random seed of its own for every epoch, so that a resumed run repeats what it would have."""

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from numpy.random import SeedSequence

from symmim_mm.registry import FUNCTIONS, HOOKS


def seed_everything(*entropy: int) -> None:
    """Seed Python, NumPy and torch (all devices) from a tuple of whole numbers >= 0."""
    words = SeedSequence(entropy).generate_state(3, np.uint32)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds this process from (seed, epoch, rank) before every training epoch.

    MMEngine resumes at an epoch's start without the random state it had there; with this hook
    that state depends on nothing earlier. Loader workers follow through ``seed_worker``.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        seed_everything(runner.seed, runner.epoch, get_rank())


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """Seed NumPy and Python in a loader worker from torch's own seed there.

    MMEngine's default gives every epoch the same worker seeds, so that each epoch would repeat
    the augmentations of the first one; torch's seed changes with the epoch and the rank.
    """
    seed_everything(torch.initial_seed() % 2**63, worker_id)
