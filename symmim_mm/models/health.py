"""Figures that say whether a pre-training learns, from one batch and without labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from symmim_mm.models.symmim import SymMIM, encode


def effective_rank(features: Tensor) -> float:
    """Return the effective rank of features ``(N, C)``: 1 for a line, ``C`` for a ball.

    The exponential of the entropy of the singular values, taken as a distribution (RankMe,
    arXiv 2210.02885).
    """
    values = torch.linalg.svdvals(features.double())
    shares = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return float(torch.exp(torch.special.entr(shares).sum()))


def feature_std(features: Tensor) -> float:
    """Return the spread of features ``(N, C)`` on the sphere: 0 if collapsed, 1 if uniform.

    The standard deviation of each channel of the normalized features, their mean, times
    ``sqrt(C)`` (SimSiam, arXiv 2011.10566).
    """
    normalized = F.normalize(features.double(), dim=1)
    return float(normalized.std(dim=0, correction=0).mean() * features.shape[1] ** 0.5)


def contrast_figures(query: Tensor, key: Tensor) -> dict[str, float]:
    """Return figures of queries and keys ``(N, D)``, whose rows belong together.

    Returns:
        ``accuracy``: percentage of queries nearest to their own key; ``positive`` and
        ``negative``: mean cosine with their own key and with the others.
    """
    cosine = F.normalize(query.double(), dim=1) @ F.normalize(key.double(), dim=1).T
    own = cosine.diagonal()
    hits = cosine.argmax(dim=1) == torch.arange(len(cosine), device=cosine.device)
    others = (cosine.sum() - own.sum()) / (cosine.numel() - len(cosine))
    return dict(
        accuracy=100 * float(hits.double().mean()),
        positive=float(own.mean()),
        negative=float(others),
    )


def measure_health(model: nn.Module, batch: dict) -> dict[str, float]:
    """Return the health of a pre-training on one batch; the model is left as it was.

    Nothing is sent to other processes, and no statistics of BatchNorm move.

    Args:
        model: SymMIM, SimMIM or MAE.
        batch: images uint8 ``(N, 3, H, W)`` as ``inputs``, as a loader gives them; N > 1.

    Returns:
        ``rank`` and ``std`` of the mean patch token (:func:`effective_rank`,
        :func:`feature_std`); with a contrast also :func:`contrast_figures`, and with both losses
        ``gradient_ratio``: the norm of the gradient of the weighted contrast, divided by that of
        the weighted reconstruction, at the encoder's output.

    Raises:
        ValueError: features that are not finite.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.compiler.set_stance('force_eager'):
            views = model.data_preprocessor(dict(batch), training=True)['inputs']
            online, other = views if isinstance(views, list) else (views, views)
            features = model.extract_feat(online)[-1][:, 1:].float().mean(dim=1)
            if not features.isfinite().all():
                raise ValueError('features are not finite')
            figures = dict(rank=effective_rank(features), std=feature_std(features))
            if isinstance(model, SymMIM) and model.contrast_weight > 0:
                figures |= _contrast_health(model, online, other)
    finally:
        model.train(training)
    return figures


def _contrast_health(model: SymMIM, online: Tensor, other: Tensor) -> dict[str, float]:
    small, large = model.draw_masks(len(online), online.device)
    tokens, indices = encode(model.backbone, online, small, model.online_visible)
    key = model.encode_key(other, large)
    with torch.enable_grad():
        tokens = tokens.detach().requires_grad_()
        query = model.contrast_head(tokens, small, indices)
        figures = contrast_figures(query.detach(), key)
        if model.mim_weight == 0:
            return figures
        temperature = model.contrast_head.temperature
        cosine = F.normalize(query, dim=1) @ F.normalize(key, dim=1).T
        own = torch.arange(len(cosine), device=cosine.device)
        loss_con = F.cross_entropy(cosine / temperature, own) * (2.0 * temperature)
        loss_mim = model.head.loss(model.head(tokens, indices), online, small)
        norms = [
            torch.autograd.grad(weight * loss, tokens)[0].norm()
            for weight, loss in (
                (model.contrast_weight, loss_con),
                (model.mim_weight, loss_mim),
            )
        ]
    return figures | dict(gradient_ratio=float(norms[0] / norms[1]))
