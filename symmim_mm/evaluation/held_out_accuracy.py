"""Accuracy on held-out training images next to that on the test images."""

from typing import Any

from mmpretrain.evaluation import Accuracy

from symmim_mm.registry import METRICS
from symmim_mm.utils.errors import UserError


@METRICS.register_module()
class HeldOutAccuracy(Accuracy):
    """Top-1 of a validation set whose first images are held out from the training images.

    A setting such as the learning rate is chosen by ``accuracy/held_out_top1``; ``accuracy/top1``
    is that of the remaining images, the test images, which then chose nothing.

    Args:
        held_out: number of held-out images; the validation set, read in order, starts with them.
        **kwargs: as ``mmpretrain.Accuracy``, without ``topk``.
    """

    def __init__(self, held_out: int, **kwargs: Any) -> None:
        super().__init__(topk=1, **kwargs)
        self.held_out = held_out

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Return ``top1`` and ``held_out_top1`` in percent.

        Raises:
            UserError: no image is left next to the held-out ones.
        """
        if not 0 < self.held_out < len(results):
            raise UserError(
                f'held_out={self.held_out} of the {len(results)} validation images: it must leave '
                'some, and hold out at least one'
            )
        chosen, test = results[: self.held_out], results[self.held_out :]
        compute = super().compute_metrics
        return dict(top1=compute(test)['top1'], held_out_top1=compute(chosen)['top1'])
