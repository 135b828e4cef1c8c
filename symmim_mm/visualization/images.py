"""Drawings of a model's outputs on held-out images. Everything here is RGB uint8 ``(H, W, 3)``."""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor

from symmim_mm.models.base import MaskedImageModel
from symmim_mm.models.mae import reconstruct_mae
from symmim_mm.models.pixel_head import patchify, unpatchify
from symmim_mm.utils.errors import UserError

GRAY = 114
MOST_TEXTS = 8  # instances of an image that are named whatever their size
# Distinct at small size and for color-blind readers (Okabe and Ito's palette); classes repeat it.
COLORS = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
     (204, 121, 167), (120, 120, 120)],
    dtype=np.uint8,
)  # fmt: skip


def save(path: str | Path, image: np.ndarray) -> None:
    """Write an image, RGB or gray uint8 ``(H, W)``, as PNG.

    Raises:
        UserError: the file cannot be written.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    image = np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image
    if not cv2.imwrite(os.fsencode(path), image):  # a name that is not UTF-8 would end the process
        raise UserError(f'cannot write the image {path}: is the folder writable, the disk full?')


def shown(image: np.ndarray) -> np.ndarray:
    """Return an image in [0, 255] ``(..., C)`` as RGB: its first three channels, or the first one.

    An image of one or two channels is shown in gray.
    """
    if image.shape[-1] != 3:
        image = image[..., :3] if image.shape[-1] > 3 else image[..., :1].repeat(3, axis=-1)
    return image.round().clip(0, 255).astype(np.uint8)


def to_rgb(image: Tensor) -> np.ndarray:
    """Return an image of a loader, BGR ``(3, H, W)`` or other ``(C, H, W)``, to look at."""
    pixels = image.numpy().transpose(1, 2, 0)
    return np.ascontiguousarray(shown(pixels[..., ::-1] if len(image) == 3 else pixels))


def side_by_side(*panels: np.ndarray, gap: int = 4) -> np.ndarray:
    """Join panels of one height from left to right, with white gaps."""
    space = np.full((panels[0].shape[0], gap, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (space, panel)]
    return np.concatenate(parts[1:], axis=1)


def titled(title: str, image: np.ndarray) -> np.ndarray:
    """Put a line of text, ASCII, above an image."""
    head = np.full((24, image.shape[1], 3), 255, np.uint8)
    cv2.putText(head, title, (1, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (90, 90, 90), 1, cv2.LINE_AA)
    return np.concatenate([head, image])


def enlarge(image: np.ndarray, side: int = 224) -> np.ndarray:
    """Scale a small image up, by the integer that brings its shorter side closest to ``side``."""
    factor = max(1, round(side / min(image.shape[:2])))
    size = (image.shape[1] * factor, image.shape[0] * factor)
    return cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)


def heat_map(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Color values float ``(h, w)`` of at least 0, up to their largest, at a size in pixels."""
    gray = (255 * values / max(values.max(), 1e-9)).astype(np.uint8)
    gray = cv2.resize(gray, size[::-1], interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(cv2.applyColorMap(gray, cv2.COLORMAP_VIRIDIS)[..., ::-1])


def reconstruct(model: BaseModel, inputs: Tensor) -> list[np.ndarray]:
    """Draw for each image the panels of :func:`reconstruction_panels` side by side, enlarged."""
    return [
        side_by_side(*(enlarge(panel) for panel in panels))
        for panels in reconstruction_panels(model, inputs)
    ]


@torch.no_grad()
def reconstruction_panels(
    model: BaseModel, inputs: Tensor, mask: Tensor | None = None
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return original, masked input and reconstruction of images by a pre-training model.

    Args:
        model: ours, or MMPretrain's ``MAE``; its preprocessor is a ``ViewPreprocessor``.
        inputs: ``(B, C, H, W)`` in [0, 255], as the loader gives them.
        mask: bool ``(B, h, w)``, ``True`` = masked; drawn as in training by default.

    Returns:
        Three images for each one; in the reconstruction visible patches are as they were.
    """
    model.eval()
    images = model.data_preprocessor(dict(inputs=inputs), training=False)['inputs']
    if isinstance(model, MaskedImageModel):
        mask, prediction = model.reconstruct(images, mask)
    else:
        mask, prediction = reconstruct_mae(model, images, mask)
    patch = model.head.patch_size
    grid = (images.shape[2] // patch, images.shape[3] // patch)
    target = patchify(images, patch)
    if model.head.norm_pix:
        deviation = (target.var(dim=-1, keepdim=True) + 1e-6).sqrt()
        prediction = prediction * deviation + target.mean(dim=-1, keepdim=True)
    hidden = mask.flatten(1).bool()[..., None]
    filled = torch.where(hidden, prediction.to(target.dtype), target)

    preprocessor = model.data_preprocessor

    def to_images(patches: Tensor) -> np.ndarray:
        batch = unpatchify(patches, grid, patch) * preprocessor.std + preprocessor.mean
        return shown(batch.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy())

    original = to_images(target)
    cover = unpatchify(hidden.expand_as(target).float(), grid, patch).permute(0, 2, 3, 1).cpu()
    covered = np.where(cover.numpy()[..., :1] > 0.5, GRAY, original).astype(np.uint8)
    return list(zip(original, covered, to_images(filled), strict=True))


def draw_instances(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    masks: np.ndarray | Sequence[np.ndarray] | None,
    classes: Sequence[str],
    scores: np.ndarray | None = None,
) -> np.ndarray:
    """Outline and tint instances on a (scaled-up) copy of the image.

    Boxes are float ``(N, 4)``, x1 y1 x2 y2 in pixels, labels int ``(N,)``, indices into
    ``classes``, masks ``(N, H, W)``; scores in [0, 1] are shown if given. A name is written
    where there are several classes, and nothing over boxes that are narrower than the text once
    there are more than ``MOST_TEXTS`` of them: it would cover them.
    """
    canvas = enlarge(image)
    factor = canvas.shape[0] / image.shape[0]
    for index in range(len(boxes)):
        shade = COLORS[labels[index] % len(COLORS)]
        if masks is not None:
            size = (canvas.shape[1], canvas.shape[0])
            inside = cv2.resize(masks[index].astype(np.uint8), size, interpolation=0).astype(bool)
            canvas[inside] = (0.55 * canvas[inside] + 0.45 * shade).astype(np.uint8)
        x1, y1, x2, y2 = (int(round(float(value) * factor)) for value in boxes[index])
        cv2.rectangle(canvas, (x1, y1), (x2, y2), shade.tolist(), 2 if x2 - x1 > 40 else 1)
        words = [str(classes[int(labels[index])])] if len(classes) > 1 else []
        words += [] if scores is None else [f'{scores[index]:.2f}']
        text = ' '.join(words)
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
        if not text or (len(boxes) > MOST_TEXTS and width > x2 - x1):
            continue
        y1 = max(y1, height + 4)
        cv2.rectangle(canvas, (x1, y1 - height - 4), (x1 + width + 2, y1), shade.tolist(), -1)
        cv2.putText(
            canvas, text, (x1 + 1, y1 - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA
        )
    return canvas


def draw_segmentation(image: np.ndarray, labels: np.ndarray, ignore: int = 255) -> np.ndarray:
    """Tint each pixel of a (scaled-up) copy by its class int ``(H, W)``, but for ``ignore``."""
    tint = COLORS[labels % len(COLORS)].astype(np.float32)
    mixed = (0.35 * image + 0.65 * tint).astype(np.uint8)
    return enlarge(np.where((labels == ignore)[..., None], image, mixed))
