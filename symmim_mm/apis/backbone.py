"""The plain ViT that a run starts from: that of a checkpoint, or one of a named size."""

from dataclasses import dataclass, field
from pathlib import Path

from symmim_mm.checkpoint.encoder import read_encoder
from symmim_mm.config.image_size import check_image_size
from symmim_mm.planning.folder_plan import MODELS, choose_shape
from symmim_mm.utils.errors import UserError


@dataclass(frozen=True)
class Backbone:
    """Sizes of a plain ViT, and how its images were normalized."""

    width: int
    layers: int
    heads: int
    hidden: int
    patch: int
    image: int
    normalization: dict = field(default_factory=dict)

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


def choose_side(wanted: int | None, side: int, unit: int, most: int) -> int:
    """Return the side of a model's images: ``wanted``, or of images of a side, in whole units.

    Raises:
        UserError: a wanted side that is no multiple of the unit.
    """
    if wanted:
        check_image_size(wanted, unit)
        return wanted
    return max(1, min(most, side) // unit) * unit
