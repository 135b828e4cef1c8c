"""``tools/visualize.py``: from a config and a checkpoint to pictures."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS, init_default_scope

from symmim_mm.checkpoint.mmengine import use_safe_loaders
from symmim_mm.checkpoint.read import read_model_state
from symmim_mm.config.file import read_config_file
from symmim_mm.datasets.samplers.seeding import seed_everything
from symmim_mm.datasets.transforms.decode_region import open_image
from symmim_mm.evaluation.attention import class_attention
from symmim_mm.models.base import MaskedImageModel
from symmim_mm.utils.errors import UserError
from symmim_mm.visualization import images as vis
from symmim_mm.visualization.predictions import draw_detection, draw_segmentation


def draw(args: argparse.Namespace) -> Iterator[Path]:
    """Draw what was asked for and yield the path of each picture written.

    Raises:
        UserError: a file that is not there or does not fit.
    """
    use_safe_loaders()
    cfg = read_config_file(args.config)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = MODELS.build(cfg.model)
    if args.kind != 'masks':
        state = read_model_state(args.checkpoint)
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise UserError(f'checkpoint {args.checkpoint} does not fit {args.config}') from error
    model.eval()
    seed_everything(args.seed)
    kinds = dict(
        masks=_masks, reconstruct=_reconstruct, attention=_attention, detect=_held_out,
        segment=_held_out,
    )  # fmt: skip
    for index, picture in enumerate(kinds[args.kind](args, cfg, model)):
        path = Path(args.out, f'{args.kind}_{index}.png')
        vis.save(path, picture)
        yield path


def _masks(args: argparse.Namespace, cfg: Config, model: BaseModel) -> Iterator[np.ndarray]:
    """Four draws each: masked patches dark. SymMIM's momentum masks stand below its online ones."""
    if not isinstance(model, MaskedImageModel):
        raise UserError(f'{args.config}: masks are drawn of SymMIM and SimMIM')
    device = torch.device('cpu')
    if hasattr(model, 'draw_masks'):
        rows = model.draw_masks(4, device)
    else:
        rows = [model.draw_reconstruction_mask(4, device)[0]]

    def picture(mask: torch.Tensor) -> np.ndarray:
        shade = np.where(mask.numpy(), 60, 235).astype(np.uint8)
        side = np.kron(shade, np.ones((12, 12), np.uint8))
        return np.repeat(side[..., None], 3, axis=2)

    strips = [vis.beside(*(picture(mask) for mask in row)) for row in rows]
    gap = np.full((8, strips[0].shape[1], 3), 255, np.uint8)
    yield np.concatenate([part for strip in strips for part in (gap, strip)][1:])


def _read(path: str, size: tuple[int, int]) -> torch.Tensor:
    """A picture file, BGR uint8 ``(1, 3, H, W)``: shorter side to the size, centre crop."""
    opened = open_image(path)
    image = opened.crop(0, 0, *opened.size[::-1])
    scale = max(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(round(a * scale), b) for a, b in zip(image.shape[:2], size, strict=True))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = cv2.resize(image, (width, height), interpolation=method)
    top, left = (image.shape[0] - size[0]) // 2, (image.shape[1] - size[1]) // 2
    image = image[top : top + size[0], left : left + size[1]]
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def _reconstruct(args: argparse.Namespace, cfg: Config, model: BaseModel) -> Iterator[np.ndarray]:
    for path in args.pictures:
        yield vis.reconstruct(model, _read(path, model.backbone.img_size))[0]


def _attention(args: argparse.Namespace, cfg: Config, model: BaseModel) -> Iterator[np.ndarray]:
    """The picture, then one map for each head, each scaled to its own largest value."""
    for path in args.pictures:
        raw = _read(path, model.backbone.img_size)
        images = model.data_preprocessor(dict(inputs=raw), training=False)['inputs']
        maps = class_attention(model.backbone, images)[0].cpu().numpy()
        picture = raw[0].numpy().transpose(1, 2, 0)[..., ::-1]
        panels = [vis.enlarge(picture)]
        for weights in maps:
            grey = (255 * weights / max(weights.max(), 1e-9)).astype(np.uint8)
            grey = cv2.resize(grey, panels[0].shape[1::-1], interpolation=cv2.INTER_NEAREST)
            panels.append(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1])
        yield vis.beside(*panels)


def _held_out(args: argparse.Namespace, cfg: Config, model: BaseModel) -> Iterator[np.ndarray]:
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    chosen = np.linspace(0, len(dataset) - 1, min(args.count, len(dataset))).astype(int)
    one = draw_detection if args.kind == 'detect' else draw_segmentation
    with torch.no_grad():
        for index in chosen:
            yield one(model, dataset, int(index))
