"""``L_con``: projector, predictor and InfoNCE between online and momentum representations."""

from typing import Literal

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank
from mmengine.model import BaseModule
from torch import Tensor, nn

from symmim_mm.utils.errors import UserError

POOLINGS = ('patch_mean', 'visible_mean', 'cls_token')
Norm = Literal['bn', 'ln'] | None


def mlp(layers: int, in_dims: int, hidden_dims: int, out_dims: int, norm: Norm) -> nn.Module:
    """Return linear layers with normalization and ReLU between them.

    ``'bn'``: BatchNorm, without scale and shift at the end, linear layers without bias (MoCo v3
    ``moco/builder.py``). ``'ln'``: LayerNorm in its place, which sees one image at a time.
    ``None``: no normalization, linear layers with bias.
    """
    modules: list[nn.Module] = []
    for index in range(layers):
        last = index == layers - 1
        width = out_dims if last else hidden_dims
        modules.append(nn.Linear(in_dims, width, bias=norm is None))
        if norm == 'bn':
            modules.append(nn.BatchNorm1d(width, affine=not last))
        elif norm == 'ln':
            modules.append(nn.LayerNorm(width, elementwise_affine=not last))
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


def info_nce(
    query: Tensor, key: Tensor, temperature: float, memory: 'KeyMemory | None' = None
) -> Tensor:
    """Compute InfoNCE with negatives from every rank, times ``2 * temperature`` (MoCo v3).

    The positive of query ``i`` is key ``i``; keys carry no gradient and are gathered in rank
    order, so N ranks together compute the loss of the joint batch (each its share of it). Queries
    and keys are ``(B, D)``, of any scale, with the same ``B`` on every rank. The memory adds its
    keys to the negatives and takes these in.

    Returns:
        Scalar: mean over this rank's queries.
    """
    # In mixed precision too: bf16 keeps 8 bits of a logit, float() alone does not stop the product.
    with torch.autocast(query.device.type, enabled=False):
        query = F.normalize(query.float(), dim=1)
        keys = torch.cat(all_gather(F.normalize(key.detach().float(), dim=1)))
        logits = query @ keys.T / temperature
        if memory is not None:
            logits = torch.cat([logits, memory.logits(query) / temperature], dim=1)
            memory.push(keys)
        labels = torch.arange(len(query), device=query.device) + len(query) * get_rank()
        return F.cross_entropy(logits, labels) * (2.0 * temperature)


class KeyMemory(nn.Module):
    """The keys of the last micro-batches, newest first: negatives under gradient accumulation.

    A query meets the keys of its own micro-batch, of all ranks, and of so many micro-batches
    before it as a step has others. So it meets as many negatives however a global batch is split.
    Keys of the same step are exact, for the momentum encoder moves between steps only; those of
    the step before are one EMA step old.

    The memory is part of the checkpoint, so that a resumed run meets the same keys.

    Args:
        size: number of keys, (accumulation - 1) x micro-batch x ranks.
        dims: of a key.
    """

    def __init__(self, size: int, dims: int) -> None:
        super().__init__()
        self.keys: Tensor
        self.register_buffer('keys', torch.zeros(size, dims))

    def logits(self, query: Tensor) -> Tensor:
        """Return cosines ``(B, size)`` of queries ``(B, D)`` of length 1; -inf where no key is."""
        keys = self.keys.to(query.dtype, copy=True)  # the backward pass reads it after `push`
        return (query @ keys.T).masked_fill(~keys.any(dim=1), -torch.inf)

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Remember keys ``(N, D)`` of length 1 in place of the oldest; none that is not finite."""
        keys = keys.masked_fill(~keys.isfinite().all(dim=1, keepdim=True), 0.0)  # 0: no key
        self.keys.copy_(torch.cat([keys, self.keys])[: len(self.keys)])


class ContrastHead(BaseModule):
    """Projector (its copy follows in the momentum branch) and predictor (online branch only).

    Args:
        in_dims: channels of the encoder.
        hidden_dims, out_dims: of both MLPs; 4096 and 256 in MoCo v3.
        projector_layers, predictor_layers: 3 and 2 in MoCo v3; no predictor with 0.
        norm: ``'bn'``, ``'ln'`` or ``None``, see :func:`mlp`. BatchNorm sees one micro-batch, of
            all ranks with MMEngine's ``sync_bn='torch'``: its statistics depend on how a global
            batch is split, those of ``'ln'`` do not.
        pooling: what represents an image, see :func:`pool`.
        temperature: of InfoNCE, > 0.
        memory: size of the :class:`KeyMemory`, 0 for none; a recipe sets it.
        directions: number of losses a step, each with a memory of its own: 2 where the loss is
            symmetric.

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
        norm: Norm = 'bn',
        pooling: str = 'patch_mean',
        temperature: float = 0.2,
        memory: int = 0,
        directions: int = 1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pooling not in POOLINGS:
            raise UserError(f"pooling must be one of {POOLINGS}, got '{pooling}'")
        if norm is not None and norm not in ('bn', 'ln'):
            raise UserError(f"norm of the contrast head must be 'bn', 'ln' or None, got '{norm}'")
        if temperature <= 0:
            raise UserError(f'temperature must be positive, got {temperature}')
        self.pooling = pooling
        self.temperature = temperature
        self.projector = mlp(projector_layers, in_dims, hidden_dims, out_dims, norm)
        self.predictor = mlp(predictor_layers, out_dims, hidden_dims, out_dims, norm)
        self.memories = nn.ModuleList(
            KeyMemory(memory, out_dims) for _ in range(directions if memory else 0)
        )

    def forward(self, tokens: Tensor, mask: Tensor | None, indices: Tensor | None) -> Tensor:
        """Online branch: tokens ``(B, 1 + n, C)`` -> query ``(B, out_dims)``."""
        return self.predictor(self.projector(self.pool(tokens, mask, indices)))

    def pool(self, tokens: Tensor, mask: Tensor | None, indices: Tensor | None) -> Tensor:
        """:func:`pool` with this head's pooling."""
        return pool(tokens, self.pooling, mask, indices)

    def loss(self, query: Tensor, key: Tensor, direction: int = 0) -> Tensor:
        """Return :func:`info_nce` of ``(B, out_dims)`` queries and keys, a scalar.

        Args:
            query: of the online branch.
            key: of the momentum branch.
            direction: whose memory to use, of ``directions``.
        """
        memory = self.memories[direction] if self.memories else None
        return info_nce(query, key, self.temperature, memory)
