"""A plain ViT read from a checkpoint: its weights, and the sizes that follow from them."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmpretrain.models import VisionTransformer
from torch import Tensor

from symmim_mm.checkpoint.backbone import backbone_state
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.checkpoint.saved_config import read_settings, saved_grid, saved_normalization
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import listed

# The tensors whose shapes give the size of a ViT, with their numbers of dimensions.
SIZE_TENSORS = {
    'patch_embed.projection.weight': 4,
    'layers.0.ffn.layers.0.0.weight': 2,
    'pos_embed': 3,
}


@dataclass(frozen=True)
class Encoder:
    """A plain ViT of a checkpoint: weights by MMPretrain's names, and its sizes.

    ``pooled``: the norm follows the mean of the patch tokens, as after fine-tuning, instead of the
    last layer.
    """

    state: dict[str, Tensor]
    source: str  # the file, as it begins a message
    heads: int  # the only size that no tensor's shape gives
    width: int  # channels of a token
    layers: int
    hidden: int  # channels inside a layer's MLP
    channels: int  # of the image
    patch: int  # side in pixels
    image: int  # side in pixels
    pooled: bool
    # Mean and std of the images, where the checkpoint has a config that states them.
    normalization: dict[str, list[float]] = field(default_factory=dict)

    def build(self, device: str = 'cpu') -> VisionTransformer:
        """Build MMPretrain's model, with the weights unless ``device`` is ``'meta'``.

        It maps normalized images ``(B, channels, image, image)`` to a tuple of the tokens
        ``(B, 1 + n, width)``, or if pooled of the features ``(B, width)``.
        """
        arch = dict(
            embed_dims=self.width,
            num_layers=self.layers,
            num_heads=self.heads,
            feedforward_channels=self.hidden,
        )
        with torch.device(device):
            model = VisionTransformer(
                arch=arch,
                img_size=self.image,
                patch_size=self.patch,
                in_channels=self.channels,
                out_type='avg_featmap' if self.pooled else 'raw',
                final_norm=not self.pooled,
            )
        if device != 'meta':
            model.load_state_dict(self.state)
        model.eval()
        return model

    def __str__(self) -> str:
        return (
            f'ViT {self.width} wide, {self.layers} layers, {self.heads} heads, patch {self.patch}, '
            f'{self.image} x {self.image} pixels'
        )


def read_encoder(
    checkpoint: str | Path, heads: int | None = None, branch: str = 'online'
) -> Encoder:
    """Read the backbone of a pre-training's or fine-tuning's checkpoint.

    Args:
        checkpoint: any file that :func:`symmim_mm.checkpoint.backbone.load_backbone` takes.
        heads: attention heads; ``None``: those of the config that MMEngine keeps in a checkpoint,
            else of MMPretrain's architecture of the same width, depth and hidden size.
        branch: as there.

    Raises:
        UserError: an unreadable file, no plain ViT or an incomplete one, one without a final norm
            or for images that are not square, or a size for which ``heads`` must be given.
    """
    return encoder_of(read_checkpoint(checkpoint), f'checkpoint {checkpoint}', heads, branch)


def encoder_of(whole: dict, source: str, heads: int | None, branch: str) -> Encoder:
    """Return the backbone of a checkpoint that has been read; see :func:`read_encoder`."""
    _, state = backbone_state(whole, source, branch)
    state.pop('mask_token', None)  # of the pre-training only
    if any(key not in state or state[key].ndim != ndim for key, ndim in SIZE_TENSORS.items()):
        raise UserError(f'{source} holds no plain ViT with an absolute position embedding')
    first, hidden, positions = (state[key] for key in SIZE_TENSORS)
    pooled = 'ln2.weight' in state
    if pooled == ('ln1.weight' in state) or 'cls_token' not in state:
        raise UserError(
            f'{source} has no class token or not exactly one norm after its layers, as '
            'backbones of detection and segmentation: export the pre-training or a fine-tuning'
        )
    side = round((positions.shape[1] - 1) ** 0.5)
    grid = saved_grid(whole) or (side, side)
    if not side or grid[0] != grid[1] or side * side + 1 != positions.shape[1]:
        raise UserError(
            f'{source} is for images that are not square (it has {positions.shape[1]} positions): '
            'train with a config of the same img_size and --backbone, which take it'
        )
    width = first.shape[0]
    layers = len({key.split('.')[1] for key in state if key.startswith('layers.')})
    if heads is None:
        stated = read_settings(whole).get('model.backbone.arch.num_heads')
        heads = stated if type(stated) is int else _heads(width, layers, hidden.shape[0])
    if heads < 1 or width % heads:
        raise UserError(f'--heads {heads} does not divide the width of {source}, {width}')
    encoder = Encoder(
        state=state,
        source=source,
        heads=heads,
        width=width,
        layers=layers,
        hidden=hidden.shape[0],
        channels=first.shape[1],
        patch=first.shape[-1],
        image=side * first.shape[-1],
        pooled=pooled,
        normalization=saved_normalization(whole, first.shape[1]),
    )
    want = encoder.build('meta').state_dict()
    shapes = ({(key, value.shape) for key, value in found.items()} for found in (want, state))
    if wrong := sorted({key for key, _ in set.symmetric_difference(*shapes)}):
        raise UserError(
            f'{source} is not a whole plain ViT and nothing else: see {listed(wrong, 4)}'
        )
    return encoder


def _heads(width: int, layers: int, hidden: int) -> int:
    """Return the attention heads of MMPretrain's architecture of a size."""
    for arch in VisionTransformer.arch_zoo.values():
        size = (arch['embed_dims'], arch['num_layers'], arch['feedforward_channels'])
        if size == (width, layers, hidden):
            return arch['num_heads']
    raise UserError(
        f'a ViT {width} wide with {layers} layers has no standard number of attention heads, and '
        'checkpoints do not store it: give --heads, num_heads of its config'
    )
