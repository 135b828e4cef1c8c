"""The recipe of a transfer to one's own labels, from the number of images and the time.

Two transfers can be compared once both had enough steps: a head that starts at random needs them,
however few labels there are. So few labels mean many epochs, not a short run. The numbers are ours,
from runs on 500 to 5,000 images (docs/evidence.md, the quickstart), and meant to be changed in the
config that is written.
"""

import math
from dataclasses import dataclass

from symmim_mm.utils.errors import UserError

# Detection of nuclei, 42 labeled images: box AP 9.9, 17.4, 20.0 after 600, 800, 1,000 steps.
ENOUGH_STEPS = {'finetune': 1000, 'detection': 2000, 'segmentation': 1000}
LEAST_EPOCHS, MOST_EPOCHS = 20, 200
LEAST_STEPS = 20  # in a budget; less is no training
# From here on a fine-tuning augments as strongly as the published one: fewer steps only underfit.
STRONG_STEPS = 5000
# Task: largest batch, learning rate of ViT-B and its batch. Fine-tuning: MAE's rate and batch.
RATES = {
    'finetune': (64, 2e-3, 1024),
    'detection': (8, 2e-4, 16),
    'segmentation': (16, 2e-4, 16),
}


@dataclass(frozen=True)
class TransferRecipe:
    """Numbers of a transfer."""

    epochs: int  # passes over the labeled images
    batch: int  # images per step
    steps: int  # in all
    warmup: int  # of these
    lr: float  # peak learning rate

    @property
    def strong(self) -> bool:
        """Whether images are augmented as strongly as in published fine-tunings."""
        return self.steps >= STRONG_STEPS

    @property
    def scales(self) -> tuple[float, float]:
        """How far objects and label maps are resized at random."""
        return (0.5, 2.0) if self.strong else (0.8, 1.25)


def transfer_batch(task: str, images: int) -> int:
    """Return a power of two that gives an epoch 16 steps, where it can.

    Raises:
        UserError: less than two images.
    """
    if images < 2:
        raise UserError(f'{images} labeled images to train on: label more, or raise --labels')
    least = min(4, images)
    return max(least, min(RATES[task][0], 2 ** int(math.log2(max(images // 16, 1)))))


def transfer_recipe(
    task: str,
    images: int,
    width: int,
    *,
    epochs: int | None = None,
    rate: float = 0.0,
    seconds: float = 0.0,
) -> TransferRecipe:
    """Return the recipe for a number of labeled images, as long as needed or as time allows.

    Args:
        task: one of ``RATES``.
        images: that are trained on.
        width: of the backbone's tokens.
        epochs: how many; by default as many as make ``ENOUGH_STEPS``, if they fit into
        seconds: for the training, at
        rate: images per second that were measured.

    Raises:
        UserError: too few images, or too little time.
    """
    batch = transfer_batch(task, images)
    an_epoch = images // batch
    if epochs is None:
        wanted = min(MOST_EPOCHS, max(LEAST_EPOCHS, math.ceil(ENOUGH_STEPS[task] / an_epoch)))
        fitting = int(rate * seconds / batch)
        if fitting < max(LEAST_STEPS, an_epoch):
            raise UserError(
                f'only {fitting} steps of {batch} images fit, at {rate:.1f} images a second, and '
                f'{max(LEAST_STEPS, an_epoch)} are the least: give a longer --budget, or --epochs'
            )
        epochs = min(wanted, fitting // an_epoch)
    steps = epochs * an_epoch
    _, lr, lr_batch = RATES[task]
    # Adam's rate goes with the root of the batch (arXiv 2205.10287), and up as a model gets narrow.
    lr *= math.sqrt(batch / lr_batch) * 768 / width
    return TransferRecipe(epochs, batch, steps, min(steps // 10, 500), float(f'{lr:.2g}'))
