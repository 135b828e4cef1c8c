"""The plain ViT that a run starts from: that of a checkpoint, or one of a named size."""

from pathlib import Path

from symmim_mm.checkpoint.encoder import Encoder, read_encoder
from symmim_mm.checkpoint.heads import read_decoder
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.config.image_size import check_image_size
from symmim_mm.planning.folder_plan import MODELS, choose_shape
from symmim_mm.utils.errors import UserError

DEFAULT_MODEL = 'vit-ti'
SMALL_DECODER = (192, 2, 3)  # width, layers and heads, of a random start


def open_start(
    file: str | Path | None, model: str | None, heads: int | None = None
) -> Encoder | None:
    """Return the backbone of a checkpoint, None where a named model starts at random.

    Args:
        file: the checkpoint, or None.
        model: one of ``MODELS`` in place of a checkpoint, or None for the default one.
        heads: attention heads, where neither the checkpoint nor its size gives them.

    Raises:
        UserError: both are given, an unknown model, or a checkpoint that is no plain ViT.
    """
    if file and model:
        raise UserError('give a checkpoint or --model, not both: a checkpoint has its own size')
    if model and model not in MODELS:
        raise UserError(f'model must be one of {", ".join(MODELS)}, got {model}')
    return read_encoder(file, heads) if file else None


def new_backbone(model: str | None, shorter_side: int, image_size: int | None = None) -> Encoder:
    """Return a backbone without weights, of a named model for images of a shorter side.

    Args:
        model: one of ``MODELS``; ``'vit-ti'`` by default.
        shorter_side: of the images in pixels.
        image_size: in place of what follows from the images.

    Raises:
        UserError: an image size that is too small or cannot be cut.
    """
    width, layers, heads = MODELS[model := model or DEFAULT_MODEL]
    shape = choose_shape(shorter_side, image_size)
    sizes = (heads, width, layers, 4 * width, 3, shape.patch, shape.image)
    return Encoder({}, model, *sizes, pooled=False)


def backbone_settings(encoder: Encoder) -> dict:
    """Return the part of a config that states the sizes of a ViT."""
    arch = dict(
        _delete_=True, embed_dims=encoder.width, num_layers=encoder.layers,
        num_heads=encoder.heads, feedforward_channels=encoder.hidden,
    )  # fmt: skip
    settings = dict(arch=arch, img_size=encoder.image, patch_size=encoder.patch)
    if encoder.channels != 3:
        settings['patch_cfg'] = dict(in_channels=encoder.channels)
    return settings


def load_settings(channels: int) -> dict:
    """Return what the config of a loading step states of the channels: none where there are 3."""
    return {} if channels == 3 else dict(channels=channels)


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
