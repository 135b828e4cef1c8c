"""From a config and a checkpoint to images of what the model does."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS

from symmim_mm.apis.test import build_trained
from symmim_mm.config.image_size import image_channels
from symmim_mm.config.load import load_config
from symmim_mm.datasets.samplers.seeding import seed_everything
from symmim_mm.datasets.transforms.bands import resize_bands
from symmim_mm.datasets.transforms.decode_region import open_image
from symmim_mm.evaluation.attention import class_attention, patch_similarity
from symmim_mm.models.base import MaskedImageModel
from symmim_mm.utils.errors import UserError
from symmim_mm.visualization import images as vis
from symmim_mm.visualization.predictions import draw_detection, draw_segmentation

TASKS = dict(detect='detection', segment='segmentation')  # the other kinds draw pre-trainings


def visualize(
    kind: str,
    config: str,
    checkpoint: str | None = None,
    images: Sequence[str] = (),
    *,
    count: int = 6,
    out: str | Path = 'images',
    seed: int = 0,
    cfg_options: Mapping[str, object] | None = None,
) -> Iterator[Path]:
    """Draw images, write them as ``<out>/<kind>_<index>.png`` and yield their paths.

    Args:
        kind: ``'masks'``; ``'reconstruct'``, ``'attention'`` (of the class token) or
            ``'similarity'`` (of patch tokens to nine of them) of ``images``; ``'detect'`` or
            ``'segment'`` of ``count`` images of the config's validation set.
        config: path of the run's config.
        checkpoint: a checkpoint of that run; not needed for masks.
        images: image files.
        count: number of images, spread evenly over the validation set.
        out: folder, created if needed.
        seed: seed of the masks.
        cfg_options: changes of the config, by dotted name.

    Raises:
        UserError: a file that does not exist or does not fit.
    """
    if kind != 'masks' and checkpoint is None:
        raise UserError(f'{kind} needs a checkpoint of {config}')
    if count < 1:
        raise UserError(f'--count {count}: must be at least 1')
    cfg = load_config(config, cfg_options=cfg_options, check_data=False)
    wanted = TASKS.get(kind, 'pretrain')
    if not cfg.run.task.endswith(wanted):  # one of segmentation is linear
        raise UserError(f'{config} is of the task {cfg.run.task}, and {kind} draws one of {wanted}')
    model = build_trained(cfg, config, checkpoint)
    if kind == 'masks' and not isinstance(model, MaskedImageModel):
        raise UserError(f'{config}: masks are drawn of SymMIM and SimMIM')
    seed_everything(seed)
    if kind == 'masks':
        drawn = iter([_draw_masks(model)])
    elif kind in ('detect', 'segment'):
        drawn = _held_out(kind, cfg, model, count)
    else:
        if kind == 'attention' and not trains_class_token(model):
            raise UserError(
                f'{config}: no loss trains the class token of this model, its attention shows '
                'nothing: draw similarity'
            )
        seen = model.backbone.img_size, image_channels(cfg.model.backbone)
        drawn = (_draw(kind, model, read_center(path, *seen)) for path in images)
    for index, image in enumerate(drawn):
        path = Path(out, f'{kind}_{index}.png')
        vis.save(path, image)
        yield path


def _draw_masks(model: MaskedImageModel) -> np.ndarray:
    """Draw four masks, masked patches dark; below them SymMIM's masks of the momentum branch."""
    device = torch.device('cpu')
    if hasattr(model, 'draw_masks'):
        rows = [mask for mask in model.draw_masks(4, device) if mask is not None]
    else:
        rows = [model.draw_reconstruction_mask(4, device)[0]]

    def panel(mask: torch.Tensor) -> np.ndarray:
        shade = np.where(mask.numpy(), 60, 235).astype(np.uint8)
        return np.repeat(np.kron(shade, np.ones((12, 12), np.uint8))[..., None], 3, axis=2)

    strips = [vis.side_by_side(*map(panel, row)) for row in rows]
    gap = np.full((8, strips[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for strip in strips for part in (gap, strip)][1:])


def read_center(path: str | Path, size: tuple[int, int], channels: int = 3) -> torch.Tensor:
    """Read an image and fit it to a size, see :func:`fit_center`."""
    opened = open_image(path, channels=channels)
    return fit_center(opened.crop(0, 0, *opened.size[::-1]), size)


def fit_center(image: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """Resize an image, as :class:`EncodedImage` has it, to cover a size; return its center.

    Of BGR uint8 ``(H, W, 3)`` the result is BGR uint8 ``(1, 3, *size)``, of float32 ``(H, W, C)``
    it is ``(1, C, *size)``.
    """
    scale = max(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(round(a * scale), b) for a, b in zip(image.shape[:2], size, strict=True))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = resize_bands(image, (width, height), interpolation=method)
    top, left = (image.shape[0] - size[0]) // 2, (image.shape[1] - size[1]) // 2
    image = image[top : top + size[0], left : left + size[1]]
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def trains_class_token(model: BaseModel) -> bool:
    """Return whether a loss reaches the class token: through a decoder, or by the contrast."""
    if not isinstance(model, MaskedImageModel):
        return True  # MAE
    contrast = getattr(model, 'contrast_head', None)
    by_contrast = contrast is not None and contrast.pooling == 'cls_token'
    return by_contrast or (model.with_head and model.head.decoder is not None)


def _draw(kind: str, model: BaseModel, inputs: torch.Tensor) -> np.ndarray:
    """Draw a reconstruction, or the image and its maps, each up to its own largest value."""
    if kind == 'reconstruct':
        return vis.reconstruct(model, inputs)[0]
    compute = class_attention if kind == 'attention' else patch_similarity
    images = model.data_preprocessor(dict(inputs=inputs), training=False)['inputs']
    maps = compute(model.backbone, images)[0].clamp(min=0).cpu().numpy()
    panels = [vis.enlarge(vis.to_rgb(inputs[0]))]
    for weights in maps:
        panels.append(vis.heat_map(weights, panels[0].shape[:2]))
    return vis.side_by_side(*panels)


def _held_out(kind: str, cfg: Config, model: BaseModel, count: int) -> Iterator[np.ndarray]:
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    draw = draw_detection if kind == 'detect' else draw_segmentation
    with torch.no_grad():
        for index in chosen:
            yield draw(model, dataset, int(index))
