"""The recipe of a pre-training on one's own images, from their number and size and the time.

Published recipes are for a million images and days. These rules are ours, from runs on 600 to
50,000 images (docs/evidence.md, the quickstart), and meant to be changed in the config that is
written. Those of batch and learning rate in short runs come from three runs on the same 10,000
crops of 5,000 CIFAR-10 images (docs/own_data.md).
"""

import math
from dataclasses import dataclass

from symmim_mm.utils.errors import UserError

LEAST_IMAGES = 50
FROM_SCRATCH = 5000  # images under which weights from elsewhere are the better start
LEAST_STEPS = 20
ENOUGH_STEPS = 300  # for which the batch of a short run gets smaller
MOST_EPOCHS = 800  # that a budget makes
# Width, layers, heads. ViT-Ti: DeiT (arXiv 2012.12877); the others as everywhere here.
MODELS = {
    'vit-ti': (192, 12, 3),
    'vit-s': (384, 12, 6),
    'vit-b': (768, 12, 12),
    'vit-l': (1024, 24, 16),
}


@dataclass(frozen=True)
class Shape:
    """Image size and patch size in pixels; every grid can be cut into squares of 2 x 2."""

    image: int
    patch: int

    @property
    def patches(self) -> int:
        """Number of patches."""
        return (self.image // self.patch) ** 2


@dataclass(frozen=True)
class FolderRecipe:
    """Numbers of a pre-training."""

    epochs: int  # passes over the images
    batch: int  # images per step
    steps: int  # in all
    lr: float  # peak learning rate
    warmup_epochs: float  # of linear warm-up
    momentum: float  # of the EMA at the start
    crop: float  # smallest share of an image's area that a crop has
    held_out: int  # images that are never trained on


def choose_shape(shorter_side: int, wanted: int | None = None) -> Shape:
    """Return the shape for images of a median shorter side, or of a wanted size.

    Raises:
        UserError: a wanted size that is too small or cannot be cut.
    """
    size = wanted or (224 if shorter_side >= 200 else max(32, shorter_side // 16 * 16))
    patch = 16 if size >= 160 else 8 if size >= 64 else 4
    if not wanted:
        size = size // (2 * patch) * 2 * patch
    if size < 32 or size % (2 * patch):
        raise UserError(f'--image-size {size}: must be at least 32 and a multiple of {2 * patch}')
    return Shape(size, patch)


def choose_batch(images: int) -> int:
    """Return a power of two from 16 to 256 that gives an epoch 16 steps, where it can.

    Raises:
        UserError: too few images.
    """
    if images < LEAST_IMAGES:
        raise UserError(
            f'{images} images are too few to learn from: collect {LEAST_IMAGES} at least, or use '
            'published weights as they are'
        )
    return max(16, min(256, 2 ** int(math.log2(max(images // 16, 1)))))


def choose_recipe(
    images: int,
    side: int,
    width: int,
    *,
    rate: float,
    seconds: float | None = None,
    epochs: int | None = None,
    steps: int | None = None,
) -> FolderRecipe:
    """Return the recipe for a number of images and a budget: seconds, epochs or steps.

    Args:
        images: in the folder.
        side: of the model's images in pixels.
        width: of its tokens.
        rate: images per second that were measured.
        seconds: for the training.
        epochs: in place of seconds.
        steps: in place of seconds.

    Raises:
        UserError: too few images, or a budget of too few steps.
    """
    batch = choose_batch(images)
    if steps is None:
        seen = epochs * images if epochs is not None else rate * (seconds or 0)
        batch = max(16, min(batch, 2 ** int(math.log2(max(seen / ENOUGH_STEPS, 1)))))
    held_out = max(8, min(64, images // 20))
    an_epoch = (images - held_out) // batch
    if epochs is None:
        least, wanted = max(LEAST_STEPS, math.ceil(0.7 * an_epoch)), steps
        if steps is not None and steps < least:
            raise UserError(f'--steps {steps}: {least} of {batch} images are the least')
        steps = steps or int(rate * (seconds or 0) / batch)
        if steps < least:
            # A longer run may have larger batches, of which as many must fit.
            seen = max(LEAST_STEPS * 16, 0.7 * images + 2 * choose_batch(images))
            minutes = math.ceil(seen / rate / 60)
            raise UserError(
                f'only {steps} steps of {batch} images fit, at {rate:.1f} images a second, and '
                f'{least} are the least: give --budget {minutes}m or more, or a smaller --model or '
                '--image-size'
            )
        most = MOST_EPOCHS if wanted is None else steps  # what is asked for is done
        epochs = min(most, max(1, round(steps / an_epoch)))
    steps = epochs * an_epoch
    # The average spans a fortieth of the run: a short run's would else stay at its random start.
    momentum = min(0.99, max(0.9, 0.5 ** (40 / steps)))
    return FolderRecipe(
        epochs=epochs,
        batch=batch,
        steps=steps,
        # Adam's rate goes with the root of the batch (arXiv 2205.10287).
        lr=float(f'{(1e-3 if width <= 192 else 5e-4) * math.sqrt(batch / 256):.2g}'),
        warmup_epochs=math.ceil(1000 * max(1 / an_epoch, epochs / 20)) / 1000,
        momentum=round(momentum, 4),
        crop=0.2 if side >= 160 else 0.4,
        held_out=held_out,
    )


def seconds_of(budget: str) -> float:
    """Return the seconds of a budget such as ``90m`` or ``2h``.

    Raises:
        UserError: anything else.
    """
    number, unit = budget[:-1], budget[-1:]
    try:
        seconds = float(number) * dict(s=1, m=60, h=3600, d=86400)[unit]
    except (ValueError, KeyError):
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise UserError(f'--budget {budget}: a number and s, m, h or d, such as 30m or 2h')
    return seconds
