"""Size of the images that a model is trained on, from its config."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from symmim_mm.config.classes import loader_datasets
from symmim_mm.utils.errors import UserError

Size = tuple[int, int]
# Steps that give images of one size, and the setting that is this size.
CROPS = {
    'LoadRandomResizedCrop': 'scale', 'RandomResizedCrop': 'scale', 'RandomCrop': 'crop_size',
    'CenterCrop': 'crop_size',
}  # fmt: skip


def training_image_size(cfg: Config) -> Size:
    """Return height and width of the images that enter the model in training.

    If a recipe trains on several sizes (Mask R-CNN 1x) it is the largest one, in landscape, which
    needs the most memory.

    Raises:
        UserError: no step of a detector's pipelines says a size.
    """
    preprocessor = cfg.model.get('data_preprocessor') or {}
    if cfg.run.task.endswith('segmentation') and preprocessor.get('size'):
        return _pair(preprocessor['size'])
    if cfg.run.task != 'detection':
        return _pair(cfg.model.backbone.get('img_size', 224))
    datasets = loader_datasets(cfg, ('train_dataloader', 'val_dataloader')).values()
    found = ([*_sizes(dataset.get('pipeline') or [])] for dataset in datasets)
    sizes = next(filter(None, found), None)
    if not sizes:
        raise UserError('no Resize step of train_dataloader has a scale: the image size is unknown')
    # Scales are (long side, short side); crops come last and cut.
    height, width = sorted(sizes[-1] if len(sizes) == 1 else max(sizes, key=math.prod))
    divisor = preprocessor.get('pad_size_divisor', 1)
    return tuple(math.ceil(side / divisor) * divisor for side in (height, width))


def image_channels(backbone: Mapping[str, Any]) -> int:
    """Return the channels of the images that a ViT of a config reads, 3 by default."""
    patch = backbone.get('patch_cfg') or {}  # the only place that MAEViT takes them from
    return patch.get('in_channels', backbone.get('in_channels', 3))


def follow_encoder(cfg: Config) -> None:
    """Let MAE's decoder and head follow its encoder, and compare sizes of crops to the encoder's.

    Raises:
        UserError: a crop of a classifier's, pre-training's or segmentation's images has another
            size than the position embedding.
    """
    vit = cfg.model.get('backbone') or {}
    if 'img_size' not in vit or cfg.run.task == 'detection':
        return
    size = _pair(vit['img_size'])
    for name, dataset in loader_datasets(cfg).items():
        for step in dataset.get('pipeline') or ():
            kind = str(step.get('type')).split('.')[-1]
            crop = step.get(CROPS[kind]) if kind in CROPS else None
            if isinstance(crop, int | list | tuple) and crop and _pair(crop) != size:
                raise UserError(
                    f'model.backbone.img_size={vit["img_size"]}, but {kind} of {name} gives '
                    f'{CROPS[kind]}={crop}: set both'
                )
    neck = cfg.model.get('neck') or {}
    if str(neck.get('type')).endswith('MAEPretrainDecoder'):
        from mmpretrain.models import VisionTransformer

        patch, arch = vit.get('patch_size', 16), vit.get('arch', 'base')
        arch = VisionTransformer.arch_zoo.get(arch) if isinstance(arch, str) else arch
        neck.update(num_patches=math.prod(size) // patch**2, patch_size=patch)
        neck.update({'embed_dim': arch['embed_dims']} if arch and 'embed_dims' in arch else {})
        cfg.merge_from_dict({'model.head.patch_size': patch})
        if (channels := image_channels(vit)) != 3:
            neck.update(in_chans=channels)
            cfg.merge_from_dict({'model.head.in_channels': channels})


def _sizes(pipeline: list[dict]) -> Iterator[Size]:
    """Yield the largest scale of each resize of a pipeline, or the size of a final crop alone."""
    crops = [step for step in pipeline if step['type'].endswith('RandomCrop')]
    if crops and crops[-1].get('crop_type') == 'absolute':
        yield _pair(crops[-1]['crop_size'])
        return
    for step in pipeline:
        for branch in step.get('transforms', []):  # a choice between pipelines
            yield from _sizes(branch if isinstance(branch, list) else [branch])
        scales = step.get('scales') or ([step['scale']] if 'scale' in step else [])
        if step['type'].split('.')[-1].endswith('Resize') and scales:
            yield max((_pair(scale) for scale in scales), key=math.prod)


def _pair(size: int | list[int] | tuple[int, ...]) -> Size:
    return (size, size) if isinstance(size, int) else (size[0], size[-1])


def check_image_size(img_size: int | tuple[int, int], patch_size: int) -> None:
    """Check that the patch size divides an image size.

    Raises:
        UserError: it does not; the message has the nearest sizes that work.
    """
    for side in img_size if isinstance(img_size, (tuple, list)) else (img_size,):
        if side % patch_size or side < patch_size:
            below = max(side // patch_size, 1) * patch_size
            raise UserError(
                f'image size {side} is not a multiple of the patch size {patch_size}: '
                f'use {below} or {below + patch_size}'
            )
