"""Drawings of an embedding: a map of thumbnails, and images with their nearest neighbors."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CANVAS, THUMBNAIL = 1000, 40
SHOWN, NEIGHBORS = 8, 6


def project(features: Tensor) -> Tensor:
    """Return the first two principal components of features ``(N, C)``, ``(N, 2)``."""
    centered = features.double() - features.double().mean(dim=0)
    _, _, directions = torch.linalg.svd(centered, full_matrices=False)
    return centered @ directions[:2].T


def draw_map(features: Tensor, images: Sequence[np.ndarray]) -> np.ndarray:
    """Draw thumbnails where the two principal components of their features put them.

    Args:
        features: ``(N, C)``.
        images: RGB uint8, N of them; where two would overlap, the earlier one is drawn.

    Returns:
        RGB uint8 ``(CANVAS, CANVAS, 3)``.
    """
    canvas = np.full((CANVAS, CANVAS, 3), 255, np.uint8)
    # Ranks instead of values: outliers would push all others into one corner.
    ranks = project(features).argsort(dim=0).argsort(dim=0).double()
    places = (ranks / max(len(features) - 1, 1) * (CANVAS - THUMBNAIL)).round().long().tolist()
    taken = np.zeros((CANVAS, CANVAS), bool)
    for (left, top), image in zip(places, images, strict=True):
        region = np.s_[top : top + THUMBNAIL, left : left + THUMBNAIL]
        if not taken[region].any():
            canvas[region] = thumbnail(image, THUMBNAIL)
            taken[region] = True
    return canvas


def draw_neighbors(
    features: Sequence[Tensor], images: Sequence[np.ndarray], queries: Sequence[int]
) -> np.ndarray:
    """Draw images with their nearest neighbors by cosine, one row for each image and embedding.

    Args:
        features: ``(N, C)`` each, of several embeddings of the same images.
        images: RGB uint8, N of them.
        queries: indices of the images.

    Returns:
        RGB uint8; the rows of an image lie together, in the order of the embeddings.
    """
    rows = []
    for query in queries:
        for embedding in features:
            unit = F.normalize(embedding.double(), dim=1)
            nearest = (unit @ unit[query]).argsort(descending=True).tolist()
            chosen = [index for index in nearest if index != query][:NEIGHBORS]
            row = [thumbnail(images[index], 2 * THUMBNAIL) for index in [query, *chosen]]
            gap = np.full((2 * THUMBNAIL, 12, 3), 255, np.uint8)
            rows.append(np.concatenate([row[0], gap, *row[1:]], axis=1))
        rows.append(np.full((8, rows[-1].shape[1], 3), 255, np.uint8))
    return np.concatenate(rows[:-1])


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """Return the center of an image at ``(side, side)``."""
    height, width = image.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    square = image[top : top + least, left : left + least]
    interpolation = cv2.INTER_AREA if least > side else cv2.INTER_CUBIC
    return cv2.resize(square, (side, side), interpolation=interpolation)
