"""``L_con``: projector, predictor and InfoNCE between online and momentum representations."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank
from mmengine.model import BaseModule
from torch import Tensor, nn

from symmim_mm.utils.errors import UserError

POOLINGS = ('patch_mean', 'visible_mean', 'cls_token')


def mlp(layers: int, in_dims: int, hidden_dims: int, out_dims: int, norm: str | None) -> nn.Module:
    """Linear layers without bias, BatchNorm and ReLU between them, BatchNorm without scale at
    the end (MoCo v3 ``moco/builder.py``); ``norm=None`` leaves BatchNorm out and keeps biases."""
    modules: list[nn.Module] = []
    for index in range(layers):
        last = index == layers - 1
        width = out_dims if last else hidden_dims
        modules.append(nn.Linear(in_dims, width, bias=norm is None))
        if norm == 'bn':
            modules.append(nn.BatchNorm1d(width, affine=not last))
        if not last:
            modules.append(nn.ReLU(inplace=True))
        in_dims = width
    return nn.Sequential(*modules)


def pool(tokens: Tensor, pooling: str, mask: Tensor | None, indices: Tensor | None) -> Tensor:
    """Pool encoder tokens ``(B, 1 + n, C)``, class token first, to one vector ``(B, C)`` per image.

    Args:
        tokens: of the encoder.
        pooling: ``'patch_mean'``: mean of the encoded patch tokens, masked ones included when
            encoding is dense (CMAE); ``'visible_mean'``: of the visible ones; ``'cls_token'``.
        mask: bool ``(B, h, w)``; ``None`` when the whole image was encoded.
        indices: int64 ``(B, n)`` when only visible patches were encoded, else ``None``.
    """
    if pooling == 'cls_token':
        return tokens[:, 0]
    patches = tokens[:, 1:]
    if pooling == 'patch_mean' or mask is None or indices is not None:
        return patches.mean(dim=1)
    weight = (~mask.flatten(1)).to(patches.dtype)[..., None]
    return (patches * weight).sum(dim=1) / weight.sum(dim=1)


def info_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """Compute InfoNCE with negatives from every rank, times ``2 * temperature`` (MoCo v3).

    The positive of query ``i`` is key ``i``; keys carry no gradient and are gathered in rank
    order, so N ranks together compute the loss of the joint batch (each its share of it). Queries
    and keys are ``(B, D)``, of any scale, with the same ``B`` on every rank.

    Returns:
        Scalar: mean over this rank's queries.
    """
    # In mixed precision too: bf16 keeps 8 bits of a logit, float() alone does not stop the product.
    with torch.autocast(query.device.type, enabled=False):
        query = F.normalize(query.float(), dim=1)
        keys = torch.cat(all_gather(F.normalize(key.detach().float(), dim=1)))
        logits = query @ keys.T / temperature
        labels = torch.arange(len(query), device=query.device) + len(query) * get_rank()
        return F.cross_entropy(logits, labels) * (2.0 * temperature)


class ContrastHead(BaseModule):
    """Projector (its copy follows in the momentum branch) and predictor (online branch only).

    Args:
        in_dims: channels of the encoder.
        hidden_dims, out_dims: of both MLPs; 4096 and 256 in MoCo v3.
        projector_layers, predictor_layers: 3 and 2 in MoCo v3; no predictor with 0.
        norm: ``'bn'`` (MMEngine turns it into a synchronized one with ``sync_bn='torch'``) or
            ``None``.
        pooling: what represents an image, see :func:`pool`.
        temperature: of InfoNCE, > 0.

    Raises:
        UserError: an unknown pooling or norm, or a temperature that is not positive.
    """

    def __init__(
        self,
        in_dims: int,
        hidden_dims: int = 4096,
        out_dims: int = 256,
        projector_layers: int = 3,
        predictor_layers: int = 2,
        norm: str | None = 'bn',
        pooling: str = 'patch_mean',
        temperature: float = 0.2,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pooling not in POOLINGS:
            raise UserError(f"pooling must be one of {POOLINGS}, got '{pooling}'")
        if norm not in ('bn', None):
            raise UserError(f"norm of the contrast head must be 'bn' or None, got '{norm}'")
        if temperature <= 0:
            raise UserError(f'temperature must be positive, got {temperature}')
        self.pooling = pooling
        self.temperature = temperature
        self.projector = mlp(projector_layers, in_dims, hidden_dims, out_dims, norm)
        self.predictor = mlp(predictor_layers, out_dims, hidden_dims, out_dims, norm)

    def forward(self, tokens: Tensor, mask: Tensor | None, indices: Tensor | None) -> Tensor:
        """Online branch: tokens ``(B, 1 + n, C)`` -> query ``(B, out_dims)``."""
        return self.predictor(self.projector(self.pool(tokens, mask, indices)))

    def pool(self, tokens: Tensor, mask: Tensor | None, indices: Tensor | None) -> Tensor:
        """:func:`pool` with this head's pooling."""
        return pool(tokens, self.pooling, mask, indices)

    def loss(self, query: Tensor, key: Tensor) -> Tensor:
        """InfoNCE of ``(B, out_dims)`` queries and keys, a scalar."""
        return info_nce(query, key, self.temperature)
