"""What a model says of an image: its class, its objects, or a label map."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from symmim_mm.visualization import images as vis
from symmim_mm.visualization.predictions import SCORE

TOP = 5  # classes of an image that are written


@dataclass(frozen=True)
class Classes:
    """Class of an image: names, best first, and scores, float32 ``(C,)``, sum 1."""

    names: tuple[str, ...]
    scores: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Return the best classes with their scores."""
        best = zip(self.names[:TOP], self.scores[:TOP].tolist(), strict=True)
        return dict(classes=[dict(name=name, score=round(score, 4)) for name, score in best])

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Write the best class onto an image, RGB uint8."""
        canvas = vis.enlarge(image)
        text = f'{self.names[0]} {self.scores[0]:.2f}'
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.rectangle(canvas, (0, 0), (8 * len(text) + 8, 18), (0, 0, 0), -1)
        cv2.putText(canvas, text, (4, 13), font, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        return canvas


@dataclass(frozen=True)
class Objects:
    """Objects in an image, best first.

    Args:
        classes: names of all classes.
        labels: int64 ``(N,)``, indices into these.
        scores: float32 ``(N,)``, in [0, 1].
        boxes: float32 ``(N, 4)``: x1, y1, x2, y2 in pixels of the image.
        masks: bool ``(N, H, W)``; None of a model without masks.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    masks: np.ndarray | None

    def to_json(self) -> dict[str, Any]:
        """Return all objects; masks as COCO's run lengths."""
        from pycocotools import mask as coco

        found: list[dict[str, Any]] = [
            dict(name=self.classes[label], score=round(score, 4), box=[round(x, 1) for x in box])
            for label, score, box in zip(
                self.labels.tolist(), self.scores.tolist(), self.boxes.tolist(), strict=True
            )
        ]
        for entry, mask in zip(found, self.masks if self.masks is not None else (), strict=False):
            runs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
            entry['mask'] = dict(size=runs['size'], counts=runs['counts'].decode())
        return dict(objects=found)

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw the objects of a score of ``SCORE`` onto an image, RGB uint8."""
        shown = self.scores >= SCORE
        masks = self.masks[shown] if self.masks is not None else None
        return vis.draw_instances(
            image, self.boxes[shown], self.labels[shown], masks, self.classes, self.scores[shown]
        )


@dataclass(frozen=True)
class LabelMap:
    """Class of every pixel of an image: names of the classes, labels int64 ``(H, W)``."""

    classes: tuple[str, ...]
    labels: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Return the share of each class that occurs."""
        share = np.bincount(self.labels.ravel(), minlength=len(self.classes)) / self.labels.size
        pairs = zip(self.classes, share.tolist(), strict=True)
        return dict(shares={name: round(part, 4) for name, part in pairs if part})

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Tint the pixels of an image, RGB uint8, by their classes."""
        return vis.draw_segmentation(image, self.labels)


Prediction = Classes | Objects | LabelMap
