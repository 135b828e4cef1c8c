"""Drawings of an embedding: a map of thumbnails, nearest neighbors, pairs that are alike."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from symmim_mm.visualization.images import side_by_side, titled

MAP_WIDTH, MAP_HEIGHT = 1440, 810
FILLED = 0.3  # of the map, where there are few images
THUMBNAIL = 80
SHOWN, NEIGHBORS = 8, 5
MOST_PAIRS, PAIRS_IN_A_ROW = 12, 4


def project(features: Tensor, method: str = 'pca') -> Tensor:
    """Return two coordinates ``(N, 2)`` of features ``(N, C)``: see :func:`draw_map`."""
    if method == 'tsne':
        from openTSNE import TSNE  # the extra `tsne`

        perplexity = min(30, (len(features) - 1) / 3)  # as it asks for
        found = TSNE(perplexity=perplexity, metric='cosine', random_state=0).fit(features.numpy())
        return torch.from_numpy(np.asarray(found))
    centered = features.double() - features.double().mean(dim=0)
    _, _, directions = torch.linalg.svd(centered, full_matrices=False)
    return centered @ directions[:2].T


def draw_map(features: Tensor, images: Sequence[np.ndarray], method: str = 'pca') -> np.ndarray:
    """Draw thumbnails where two coordinates of their features put them.

    Args:
        features: ``(N, C)``.
        images: RGB uint8, N of them; where two would overlap, the earlier one is drawn.
        method: ``'pca'``, the first two principal components, or ``'tsne'`` by openTSNE.

    Returns:
        RGB uint8 ``(MAP_HEIGHT, MAP_WIDTH, 3)``.
    """
    size = (MAP_WIDTH, MAP_HEIGHT)
    side = round(min(96, max(40, (FILLED * MAP_WIDTH * MAP_HEIGHT / len(images)) ** 0.5)))
    canvas = np.full((*size[::-1], 3), 255, np.uint8)
    # Ranks instead of values: outliers would push all others into one corner.
    ranks = project(features, method).argsort(dim=0).argsort(dim=0).double()
    room = torch.tensor(size) - side
    places = (ranks / max(len(features) - 1, 1) * room).round().long().tolist()
    taken = np.zeros(size[::-1], bool)
    for (left, top), image in zip(places, images, strict=True):
        region = np.s_[top : top + side, left : left + side]
        if not taken[region].any():
            canvas[region] = thumbnail(image, side)
            taken[region] = True
    return canvas


def draw_neighbors(
    embeddings: Mapping[str, Tensor], images: Sequence[np.ndarray], queries: Sequence[int]
) -> np.ndarray:
    """Draw images, a row each, with their nearest neighbors by cosine in each embedding.

    Args:
        embeddings: ``(N, C)`` each, of the same images, by what their columns are headed with.
        images: RGB uint8, N of them.
        queries: indices of the images.

    Returns:
        RGB uint8.
    """
    columns = [titled('', np.concatenate([thumbnail(images[i], THUMBNAIL) for i in queries]))]
    for name, features in embeddings.items():
        unit = F.normalize(features.double(), dim=1)
        rows = []
        for query in queries:
            nearest = (unit @ unit[query]).argsort(descending=True).tolist()
            chosen = [index for index in nearest if index != query][:NEIGHBORS]
            rows.append(np.hstack([thumbnail(images[index], THUMBNAIL) for index in chosen]))
        columns.append(titled(name, np.concatenate(rows)))
    return side_by_side(*columns, gap=16)


def draw_pairs(pairs: Sequence[tuple[int, int]], images: Sequence[np.ndarray]) -> np.ndarray:
    """Draw pairs of images, numbered from 1; RGB uint8.

    Args:
        pairs: of indices.
        images: RGB uint8.
    """
    drawn = [
        titled(f'{number}', np.hstack([thumbnail(images[i], 2 * THUMBNAIL) for i in pair]))
        for number, pair in enumerate(pairs, 1)
    ]
    blank = np.full_like(drawn[0], 255)
    drawn += [blank] * (-len(drawn) % min(len(drawn), PAIRS_IN_A_ROW))
    rows = range(0, len(drawn), PAIRS_IN_A_ROW)
    return np.concatenate(
        [side_by_side(*drawn[start : start + PAIRS_IN_A_ROW], gap=16) for start in rows]
    )


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """Return the center of an image at ``(side, side)``."""
    height, width = image.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    square = image[top : top + least, left : left + least]
    interpolation = cv2.INTER_AREA if least > side else cv2.INTER_CUBIC
    return cv2.resize(square, (side, side), interpolation=interpolation)
