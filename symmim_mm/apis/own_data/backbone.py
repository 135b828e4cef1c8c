"""The plain ViT that a run starts from: that of a checkpoint, or one of a named size."""

from pathlib import Path

from symmim_mm.checkpoint.encoder import Encoder, read_encoder
from symmim_mm.checkpoint.heads import read_decoder
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.config.image_size import check_image_size
from symmim_mm.planning.folder_plan import MODELS, choose_shape
from symmim_mm.utils.errors import UserError

SMALL_DECODER = (192, 2, 3)  # width, layers and heads, of a random start


def open_backbone(
    file: str | Path | None,
    model: str | None,
    heads: int | None,
    shorter_side: int,
    image_size: int | None = None,
) -> Encoder:
    """Return the backbone of a checkpoint, or of a named model for images of a shorter side.

    Args:
        file: the checkpoint, or None.
        model: one of ``MODELS`` in place of a checkpoint; ``'vit-ti'`` by default. The encoder then
            has no weights.
        heads: attention heads, where neither the checkpoint nor its size gives them.
        shorter_side: of the images in pixels.
        image_size: of a named model, in place of what follows from the images.

    Raises:
        UserError: both are given, an unknown model, or a checkpoint that is no plain ViT.
    """
    if file and model:
        raise UserError('give a checkpoint or --model, not both: a checkpoint has its own size')
    if not file:
        if (model := model or 'vit-ti') not in MODELS:
            raise UserError(f'model must be one of {", ".join(MODELS)}, got {model}')
        width, layers, heads = MODELS[model]
        shape = choose_shape(shorter_side, image_size)
        sizes = (heads, width, layers, 4 * width, 3, shape.patch, shape.image)
        return Encoder({}, model, *sizes, pooled=False)
    found = read_encoder(file, heads)
    if found.channels != 3:
        raise UserError(f'{found.source} is for images of {found.channels} channels, not of 3')
    return found


def backbone_settings(encoder: Encoder) -> dict:
    """Return the part of a config that states the sizes of a ViT."""
    arch = dict(
        _delete_=True, embed_dims=encoder.width, num_layers=encoder.layers,
        num_heads=encoder.heads, feedforward_channels=encoder.hidden,
    )  # fmt: skip
    return dict(arch=arch, img_size=encoder.image, patch_size=encoder.patch)


def decoder_sizes(file: str | Path) -> tuple[int, int, int]:
    """Return width, layers and heads of the decoder in a file, or else ``SMALL_DECODER``."""
    found = read_decoder(read_checkpoint(file))
    return (found.width, found.layers, found.heads) if found and found.heads else SMALL_DECODER


def choose_side(wanted: int | None, side: int, unit: int, most: int) -> int:
    """Return the side of a model's images: ``wanted``, or of images of a side, in whole units.

    Raises:
        UserError: a wanted side that is no multiple of the unit.
    """
    if wanted:
        check_image_size(wanted, unit)
        return wanted
    return max(1, min(most, side) // unit) * unit
