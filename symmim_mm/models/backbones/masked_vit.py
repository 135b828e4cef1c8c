"""The ViT encoder of the pre-trainings: a stock MMPretrain ViT that can be given a mask."""

import torch
from mmengine.model.weight_init import trunc_normal_
from mmpretrain.models import VisionTransformer
from torch import Tensor, nn

from symmim_mm.config.image_size import check_image_size
from symmim_mm.models.backbones.split_attention import split_attention
from symmim_mm.models.masks import visible_indices
from symmim_mm.registry import MODELS
from symmim_mm.utils.errors import UserError

ENCODINGS = ('dense', 'sparse')


@MODELS.register_module()
class MaskedViT(VisionTransformer):
    """ViT whose forward takes a patch mask; without one it is MMPretrain's, to the last key.

    Args:
        encoding: ``'dense'``: masked patches are replaced by a learnable token and every token is
            encoded (SimMIM ``models/vision_transformer.py``). ``'sparse'``: only visible patches
            are encoded (MAE ``models_mae.py``).
        learnable_pos_embed: train the position embedding; otherwise it stays the fixed 2-D
            sine-cosine table it starts as (MAE).
        **kwargs: as ``mmpretrain.VisionTransformer``; ``out_type`` is always ``'raw'`` here and
            the class token is always there.

    Raises:
        UserError: the patch size does not divide the image size, or an unknown encoding.
    """

    def __init__(
        self, *, encoding: str = 'dense', learnable_pos_embed: bool = False, **kwargs
    ) -> None:
        if encoding not in ENCODINGS:
            raise UserError(f"encoding must be one of {ENCODINGS}, got '{encoding}'")
        check_image_size(kwargs.get('img_size', 224), kwargs.get('patch_size', 16))
        super().__init__(out_type='raw', with_cls_token=True, **kwargs)
        split_attention(self.layers)
        self.encoding = encoding
        self.grid: tuple[int, int] = tuple(self.patch_resolution)
        self.pos_embed.requires_grad = learnable_pos_embed
        if encoding == 'dense':
            self.mask_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))

    def init_weights(self) -> None:
        """Initialize as MAE: Xavier-uniform layers, sine-cosine positions, N(0, .02) tokens."""
        super().init_weights()
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            return
        init_linear_layers(self)
        projection = self.patch_embed.projection.weight.data
        nn.init.xavier_uniform_(projection.view(projection.shape[0], -1))
        nn.init.normal_(self.cls_token, std=0.02)
        if self.encoding == 'dense':
            trunc_normal_(self.mask_token, std=0.02)
        self.pos_embed.data.copy_(sincos_position_embedding(self.grid, self.embed_dims))

    def forward(
        self, x: Tensor, mask: Tensor | None = None, visible: int | None = None
    ) -> tuple[Tensor] | tuple[Tensor, Tensor | None]:
        """Encode images, masked or not.

        Args:
            x: images ``(B, 3, H, W)``, normalized.
            mask: bool ``(B, h, w)`` over patches, ``True`` = masked; ``None``: plain ViT.
            visible: sparse encoding only: how many visible patches to keep per image, at most
                the smallest number that any mask of the batch leaves visible.

        Returns:
            Without a mask: the stock tuple ``((B, 1 + N, C),)``. With one: tokens
            ``(B, 1 + n, C)`` after the final norm, class token first, and the indices
            int64 ``(B, n)`` of the encoded patches (``None`` when dense, where ``n = h * w``).
        """
        if mask is None:
            return super().forward(x)
        tokens = self.patch_embed(x)[0]  # (B, N, C)
        indices = None
        if self.encoding == 'dense':
            tokens = torch.where(mask.flatten(1)[..., None], self.mask_token, tokens)
            tokens = tokens + self.pos_embed[:, 1:]
        else:
            tokens = tokens + self.pos_embed[:, 1:]
            indices = visible_indices(mask, visible)
            tokens = tokens.gather(1, indices[..., None].expand(-1, -1, self.embed_dims))
        cls_token = (self.cls_token + self.pos_embed[:, :1]).expand(len(tokens), -1, -1)
        tokens = self.drop_after_pos(torch.cat((cls_token.to(tokens.dtype), tokens), dim=1))
        for layer in self.layers:
            tokens = layer(tokens)
        return self.ln1(tokens) if self.final_norm else tokens, indices


def init_linear_layers(model: nn.Module) -> None:
    """Initialize all linear layers of a model as MAE: Xavier-uniform weights, zero biases."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def sincos_position_embedding(grid: tuple[int, int], dims: int) -> Tensor:
    """Return the fixed 2-D sine-cosine table ``(1, 1 + H * W, dims)``, zeros for the class token.

    Channel order and float64 arithmetic of MAE (``util/pos_embed.py``): the column in the first
    half of the channels, the row in the second, each as sines then cosines. MMPretrain's builder
    swaps row and column, which on grids that are not square mixes up the positions.

    Raises:
        UserError: ``dims`` is not a multiple of 4.
    """
    if dims % 4:
        raise UserError(f'a 2-D sine-cosine embedding needs a multiple of 4 channels, got {dims}')
    rows, columns = torch.meshgrid(
        *(torch.arange(side, dtype=torch.float64) for side in grid), indexing='ij'
    )
    exponent = torch.arange(dims // 4, dtype=torch.float64) / (dims // 4)
    frequency = 10000.0**-exponent
    angles = [axis.flatten()[:, None] * frequency for axis in (columns, rows)]
    table = torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
    return torch.cat((torch.zeros(1, dims, dtype=torch.float64), table))[None].float()
