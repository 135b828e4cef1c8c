"""A plain ViT for large images: most blocks attend inside windows (ViTDet)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpretrain.models import VisionTransformer
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.utils import MultiheadAttention, resize_pos_embed
from torch import Tensor, nn

from symmim_mm.registry import MODELS
from symmim_mm.utils.errors import UserError


@MODELS.register_module()
class WindowedViT(VisionTransformer):
    """MMPretrain's ViT with attention inside windows in all but a few blocks.

    Follows ViTDet (Li et al., arXiv 2203.16527, section 3; detectron2
    ``projects/ViTDet``, ``modeling/backbone/vit.py``): windows do not overlap or shift, a few
    global blocks carry information between them, partial windows are padded with zeros after
    the norm (so that the padding takes part in attention with the bias of keys and values).
    Every parameter has the name and shape that it has in a pre-training checkpoint. In a windowed
    block the class token takes part in every window, and its results are averaged over the
    windows: one window that covers the image is full attention exactly. ViTDet itself has
    ``with_cls_token=False`` and relative positions, which start at zero, where they change nothing.

    Args:
        window_size: side of a window in patches; cut down to the grid where that is smaller.
        global_blocks: indices of the blocks that attend over the whole image; an integer: that
            many, evenly spaced, the last one included; ``'all'``: no windows at all.
        rel_pos_grid: side, in patches, of the image for which the relative positions of the global
            blocks are made; they are resized to other grids. None: no relative positions.
        **kwargs: as ``mmpretrain.VisionTransformer``. ``out_type='featmap'`` gives what
            detectors want: one ``(B, C, H / patch, W / patch)`` for each of ``out_indices``.

    Raises:
        UserError: a window smaller than one patch, a block index that does not exist, or relative
            positions next to a class token.
    """

    def __init__(
        self,
        *,
        window_size: int = 16,
        global_blocks: int | str | Sequence[int] = 4,
        rel_pos_grid: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if window_size < 1:
            raise UserError(f'window_size must be at least 1 patch, got {window_size}')
        self.window_size = window_size
        self.global_blocks = resolve_global_blocks(global_blocks, self.num_layers)
        if rel_pos_grid and self.num_extra_tokens:
            raise UserError('rel_pos_grid: a class token has no position, set with_cls_token=False')
        for i, layer in enumerate(self.layers):
            everywhere = i in self.global_blocks
            if rel_pos_grid or not everywhere:
                layer.__class__ = WindowedLayer
            if rel_pos_grid:
                side, channels = rel_pos_grid if everywhere else window_size, layer.attn.head_dims
                layer.attn.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, channels))
                layer.attn.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, channels))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode images ``(B, 3, H, W)``; the output is that of the stock class."""
        x, grid = self.patch_embed(x)
        if self.cls_token is not None:
            x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1)
        x = x + resize_pos_embed(
            self.pos_embed,
            self.patch_resolution,
            grid,
            mode=self.interpolate_mode,
            num_extra_tokens=self.num_extra_tokens,
        )
        x = self.pre_norm(self.drop_after_pos(x))

        outs = []
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, WindowedLayer):
                x = layer(x)
            else:
                window = max(grid) if i in self.global_blocks else self.window_size
                x = layer(x, grid, window, self.num_extra_tokens)
            if i == self.num_layers - 1 and self.final_norm:
                x = self.ln1(x)
            if i in self.out_indices:
                outs.append(self._format_output(x, grid))
        return tuple(outs)


class WindowedLayer(TransformerEncoderLayer):
    """A stock block that attends inside windows.

    A block becomes one by assigning its class, which leaves its parameters and their random
    initial values alone. It is called as a module, not part by part, so that what acts on whole
    blocks works: FSDP, activation checkpointing, hooks.
    """

    def forward(
        self, x: Tensor, grid: tuple[int, int], window_size: int, num_extra_tokens: int = 1
    ) -> Tensor:
        """``(B, E + H * W, C)`` to the same; arguments as :func:`window_attention`."""
        x = x + window_attention(self.attn, self.ln1(x), grid, window_size, num_extra_tokens)
        return self.ffn(self.ln2(x), identity=x)


def resolve_global_blocks(blocks: int | str | Sequence[int], num_layers: int) -> tuple[int, ...]:
    """Turn the setting into sorted block indices: 4 of 12 -> (2, 5, 8, 11).

    Raises:
        UserError: more blocks than layers, or an index outside ``0 .. num_layers - 1``.
    """
    if blocks == 'all':
        return tuple(range(num_layers))
    if isinstance(blocks, str):
        raise UserError(f"global_blocks is a number, a list of indices or 'all', got '{blocks}'")
    if isinstance(blocks, int):
        if not 0 <= blocks <= num_layers:
            raise UserError(f'global_blocks={blocks} does not fit a model of {num_layers} blocks')
        # The last block of each of so many (nearly) equal parts.
        return tuple(num_layers * (k + 1) // blocks - 1 for k in range(blocks))
    wrong = [i for i in blocks if not 0 <= i < num_layers]
    if wrong:
        raise UserError(f'global_blocks {wrong} do not exist in a model of {num_layers} blocks')
    return tuple(sorted(set(blocks)))


def window_attention(
    attn: MultiheadAttention,
    x: Tensor,
    grid: tuple[int, int],
    window_size: int,
    num_extra_tokens: int = 1,
) -> Tensor:
    """Apply ``attn`` inside the windows of a grid of tokens.

    Queries, keys and values come from the whole sequence and only then are cut into windows: the
    extra tokens are projected once, not once a window. Layer scale and stochastic depth of ``attn``
    act on the joined result, so that an image is dropped as a whole.

    ``x`` is normed tokens ``(B, E + H * W, C)`` of ``grid = (H, W)``, the ``E = num_extra_tokens``
    extra tokens first; so is the result, without the residual.
    """
    (height, width), extra = grid, num_extra_tokens
    batch, _, channels = x.shape
    wh, ww = min(window_size, height), min(window_size, width)
    pad_h, pad_w = -height % wh, -width % ww
    rows, cols = (height + pad_h) // wh, (width + pad_w) // ww

    patches = x[:, extra:].unflatten(1, (height, width))
    if pad_h or pad_w:
        patches = F.pad(patches, (0, 0, 0, pad_w, 0, pad_h))
    tokens = torch.cat((x[:, :extra], patches.flatten(1, 2)), dim=1)

    qkv = attn.qkv(tokens)  # (B, E + rows * wh * cols * ww, 3 C)
    windows = qkv[:, extra:].reshape(batch, rows, wh, cols, ww, 3 * channels)
    windows = windows.transpose(2, 3).reshape(batch, rows * cols, wh * ww, 3 * channels)
    shared = qkv[:, None, :extra].expand(-1, rows * cols, -1, -1)
    qkv = torch.cat((shared, windows), dim=2).flatten(0, 1)  # (B * windows, E + wh * ww, 3 C)
    q, k, v = qkv.unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)

    drop = attn.attn_drop if attn.training else 0.0
    bias = None
    if hasattr(attn, 'rel_pos_h'):
        bias = relative_bias(q.unflatten(2, (wh, ww)), attn.rel_pos_h, attn.rel_pos_w)
    out = attn.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=drop)
    out = out.transpose(1, 2).reshape(batch, rows * cols, extra + wh * ww, channels)

    patches = out[:, :, extra:].reshape(batch, rows, cols, wh, ww, channels).transpose(2, 3)
    patches = patches.reshape(batch, rows * wh, cols * ww, channels)[:, :height, :width]
    # The mean may be taken here, before the output projection, because that is linear.
    out = torch.cat((out[:, :, :extra].mean(dim=1), patches.flatten(1, 2)), dim=1)
    return attn.out_drop(attn.gamma1(attn.proj_drop(attn.proj(out))))


def relative_bias(q: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return what relative positions add to the attention before its softmax.

    The query's product with a vector for the distance in rows, and one for that in columns (MViTv2,
    arXiv 2112.01526, section 4.1; ViTDet takes the query without its scale).

    Args:
        q: queries of a grid, ``(B, heads, H, W, D)``.
        rows: a vector for each distance, ``(2 * L - 1, D)``, query below key first; resized where
            ``L`` is not ``H``.
        columns: the same for ``W``.

    Returns:
        ``(B, heads, H * W, H * W)``, queries before keys.
    """
    of_row = torch.einsum('bnhwc,hkc->bnhwk', q, by_distance(rows, q.shape[2]))
    of_column = torch.einsum('bnhwc,wkc->bnhwk', q, by_distance(columns, q.shape[3]))
    bias = of_row[..., :, None] + of_column[..., None, :]  # (B, heads, H, W, H, W)
    return bias.flatten(4).flatten(2, 3)


def by_distance(table: Tensor, side: int) -> Tensor:
    """Return the vector of each pair of query and key on a line, ``(side, side, D)``."""
    if len(table) != 2 * side - 1:
        table = F.interpolate(table.T[None], size=2 * side - 1, mode='linear')[0].T
    index = torch.arange(side, device=table.device)
    return table[index[:, None] - index + side - 1]
