"""Weighted k-nearest-neighbor classification of frozen features."""

import torch
import torch.nn.functional as F
from torch import Tensor

from symmim_mm.utils.errors import UserError


def classify_knn(
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    classes: int,
    k: int = 20,
    temperature: float = 0.07,
    chunk: int = 1024,
) -> Tensor:
    """Classify by a vote of the ``k`` nearest training features, weighted by ``exp(cosine / T)``.

    After Wu et al. 2018 (arXiv 1805.01978, section 3.4), with the settings of DINO
    (``eval_knn.py``). Features are float ``(N, C)`` for training and ``(M, C)`` for the test,
    labels int64 ``(N,)`` in ``[0, classes)``. ``chunk`` test features are compared at a time; the
    result does not depend on it.

    Returns:
        Predicted classes int64 ``(M,)``.

    Raises:
        UserError: ``k`` or ``temperature`` out of range.
    """
    if not 1 <= k <= len(train):
        raise UserError(f'k must lie between 1 and the {len(train)} training images, got {k}')
    if not temperature > 0:
        raise UserError(f'temperature must be above 0, got {temperature}')
    bank = F.normalize(train, dim=1)
    predictions = []
    for queries in F.normalize(test, dim=1).split(chunk):
        similarity, nearest = (queries @ bank.T).topk(k, dim=1)
        votes = torch.zeros(len(queries), classes, dtype=similarity.dtype, device=test.device)
        # Relative to the nearest: float32 ends at exp(88), that is at a temperature of 0.011.
        weights = ((similarity - similarity[:, :1]) / temperature).exp()
        votes.scatter_add_(1, labels[nearest], weights)
        predictions.append(votes.argmax(dim=1))
    return torch.cat(predictions)
