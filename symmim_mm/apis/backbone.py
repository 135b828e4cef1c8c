"""The plain ViT that a run starts from: that of a checkpoint, or one of a named size."""

from dataclasses import dataclass, field
from pathlib import Path

from symmim_mm.checkpoint.encoder import read_encoder
from symmim_mm.checkpoint.heads import read_decoder
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.config.image_size import check_image_size
from symmim_mm.planning.folder_plan import MODELS, choose_shape
from symmim_mm.utils.errors import UserError

SMALL_DECODER = (192, 2, 3)  # of a random start


@dataclass(frozen=True)
class Backbone:
    """Sizes of a plain ViT, how its images were normalized, and the decoder next to it.

    ``decoder``: width, layers and heads.
    """

    width: int
    layers: int
    heads: int
    hidden: int
    patch: int
    image: int
    normalization: dict = field(default_factory=dict)
    decoder: tuple[int, int, int] = SMALL_DECODER

    @property
    def settings(self) -> dict:
        """The part of a config that states these sizes."""
        arch = dict(
            _delete_=True, embed_dims=self.width, num_layers=self.layers, num_heads=self.heads,
            feedforward_channels=self.hidden,
        )  # fmt: skip
        return dict(arch=arch, img_size=self.image, patch_size=self.patch)

    @property
    def size(self) -> str:
        """The letter of the shipped recipe for a model of about this size."""
        return 's' if self.width < 576 else 'b' if self.width < 896 else 'l'


def open_backbone(
    file: str | Path | None,
    model: str | None,
    heads: int | None,
    shorter_side: int,
    image_size: int | None = None,
) -> Backbone:
    """Return the backbone of a checkpoint, or of a named model for images of a shorter side.

    Args:
        file: the checkpoint, or None.
        model: one of ``MODELS`` in place of a checkpoint; ``'vit-ti'`` by default.
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
        return Backbone(width, layers, heads, 4 * width, shape.patch, shape.image)
    found = read_encoder(file, heads)
    if found.channels != 3:
        raise UserError(f'{found.source} is for images of {found.channels} channels, not of 3')
    return Backbone(
        found.width, found.layers, found.heads, found.hidden, found.patch, found.image,
        found.normalization,
    )  # fmt: skip


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
