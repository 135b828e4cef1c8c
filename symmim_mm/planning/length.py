"""The length of a run in micro-batches, optimizer steps, epochs and pictures."""

import math
from dataclasses import dataclass

from mmengine.config import Config


@dataclass(frozen=True)
class Length:
    """Length of a training.

    Args:
        epoch_length: micro-batches of one process in an epoch, as its loader counts them.
        iterations: micro-batches of one process in the run, what MMEngine counts.
        steps: optimizer steps.
        epochs: passes over the pictures; None where their number is not known.
        pictures_seen: over all processes, repeated ones included.
    """

    epoch_length: int
    iterations: int
    steps: int
    epochs: float | None
    pictures_seen: int


def run_length(cfg: Config, pictures: int | None, processes: int) -> Length | None:
    """Length of the run of a config to which its recipe was applied.

    Args:
        pictures: in the training data; None: not known.

    Returns:
        None where the length is stated in epochs and the number of pictures is not known, and for
        configs that train nothing.
    """
    if 'evaluation' in cfg:
        return None
    batch = cfg.train_dataloader.batch_size
    accumulation = cfg.optim_wrapper.get('accumulative_counts', 1)
    by_epoch = 'max_epochs' in cfg.train_cfg
    if by_epoch and pictures is None:
        return None
    epoch_length = 0
    if pictures is not None:
        # MMEngine's DefaultSampler gives every process the same number, repeating some pictures.
        share = math.ceil(pictures / processes)
        drop_last = cfg.train_dataloader.get('drop_last', False)
        epoch_length = share // batch if drop_last else math.ceil(share / batch)
    iterations = cfg.train_cfg.max_epochs * epoch_length if by_epoch else cfg.train_cfg.max_iters
    seen = iterations * batch * processes
    if by_epoch and not cfg.train_dataloader.get('drop_last', False):
        seen = cfg.train_cfg.max_epochs * math.ceil(pictures / processes) * processes
    epochs = seen / pictures if pictures else None
    return Length(
        epoch_length=epoch_length,
        iterations=iterations,
        steps=math.ceil(iterations / accumulation),  # the last window may be shorter
        epochs=float(cfg.train_cfg.max_epochs) if by_epoch else epochs,
        pictures_seen=seen,
    )
