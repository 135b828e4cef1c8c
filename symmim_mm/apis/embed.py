"""Features of images: into a file, and what they say of the images of a pre-training."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmpretrain.models import ClsDataPreprocessor, VisionTransformer
from torch import Tensor

from symmim_mm.apis.predict import find_checkpoint, list_images
from symmim_mm.apis.visualize import read_center
from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.encoder import Encoder, read_encoder
from symmim_mm.config.file import read_config_file
from symmim_mm.datasets.transforms.decode_region import ImageError
from symmim_mm.evaluation.knn import classify_knn
from symmim_mm.evaluation.linear import classify_linear
from symmim_mm.results.record import FILE_NAME, Record
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import replacing
from symmim_mm.visualization.embeddings import (
    MOST_PAIRS,
    SHOWN,
    draw_map,
    draw_neighbors,
    draw_pairs,
    thumbnail,
)
from symmim_mm.visualization.images import save, to_rgb

MOST_IMAGES = 1000
BATCH = 64
DUPLICATE = 0.99  # correlation of reduced images that are nearly the same
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
LISTS = ('train.txt', 'held_out.txt')


def show_embeddings(work_dir: Path, projection: str = 'pca') -> list[str]:
    """Embed images of a finished run of :func:`symmim_mm.pretrain`; draw and describe them.

    The figures of the run's record get ``images/map.png``: thumbnails on a ``projection``
    of :func:`draw_map`; ``images/neighbors.png``: images with their nearest neighbors by the
    trained encoder, the weights that it started from, and random ones; ``images/duplicates.png``:
    pairs that are nearly the same. Its findings get these pairs' names, and the accuracy of k-NN
    and of a linear classifier where folders may be classes.

    Returns:
        The findings.
    """
    cfg = read_config_file(work_dir / 'plan' / 'pretrain.py')
    init_default_scope('mmpretrain')
    record = Record.read(work_dir / FILE_NAME)
    encoder = read_encoder(find_checkpoint(work_dir), cfg.model.backbone.arch.num_heads)
    paths, images = _read(cfg, work_dir)
    models = {'trained': encoder.build()}
    if record.backbone:
        models['start'] = encoder.build()
        load_backbone(models['start'], record.backbone)
    torch.manual_seed(0)
    models['random'] = encoder.build()
    for module in models['random'].modules():
        if hasattr(module, 'reset_parameters'):
            module.reset_parameters()
    preprocessor = preprocessor_of(encoder)
    features = {name: encode(model, preprocessor, images) for name, model in models.items()}
    pixels = [to_rgb(image) for image in images]
    drawn = {
        'images/map.png': draw_map(features['trained'], pixels, projection),
        'images/neighbors.png': draw_neighbors(features, pixels, spread(len(images), SHOWN)),
    }
    record.findings = list(accuracies(features, paths))
    if pairs := find_duplicates(pixels):
        shown = pairs[:MOST_PAIRS]
        drawn['images/duplicates.png'] = draw_pairs(shown, pixels)
        names = ', '.join(
            f'({number}) {paths[first]} and {paths[second]}'
            for number, (first, second) in enumerate(shown, 1)
        )
        record.findings.append(
            f'{len(pairs)} of {len(paths)} images are nearly the same as another: {names}'
            + (', ...' if len(pairs) > len(shown) else '')
        )
    for name, image in drawn.items():
        save(work_dir / name, image)
    record.figures = [*dict.fromkeys([*record.figures, *drawn])]
    record.write(work_dir)
    return record.findings


@torch.no_grad()
def encode(
    model: VisionTransformer, preprocessor: ClsDataPreprocessor, images: list[Tensor]
) -> Tensor:
    """Return the mean patch token ``(N, C)`` of images ``(C, H, W)`` of a loader."""
    model.eval()
    found = []
    for start in range(0, len(images), BATCH):
        batch = dict(inputs=torch.stack(images[start : start + BATCH]))
        tokens = model(preprocessor(batch, training=False)['inputs'])[-1].float()
        # A fine-tuned encoder takes the mean of the patch tokens itself.
        found.append(tokens[:, 1:].mean(dim=1) if tokens.ndim == 3 else tokens)
    return torch.cat(found)


def embed(
    run: str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    out: str | Path = 'features.npz',
    heads: int | None = None,
    report: Callable[[str], None] = print,
) -> Path:
    """Write the features of images: ``features`` float32 ``(N, C)`` and ``paths`` ``(N,)``.

    A feature is the mean of the patch tokens of an image's center, at the size and with the
    normalization of the pre-training.

    Args:
        run: folder of a run, or any checkpoint of a plain ViT that ``--backbone`` takes.
        images: files and folders.
        out: the NumPy file to write.
        heads: attention heads, where neither the checkpoint nor its size gives them.
        report: gets a line on what was done.

    Raises:
        UserError: a checkpoint or an image that cannot be used.
    """
    paths = list_images(images)
    encoder = read_encoder(find_checkpoint(run), heads)
    model = encoder.build()
    preprocessor = preprocessor_of(encoder)
    seen = (encoder.image, encoder.image), encoder.channels
    features = [
        encode(model, preprocessor, [read_center(path, *seen)[0] for path in paths[start:][:BATCH]])
        for start in range(0, len(paths), BATCH)
    ]
    with replacing(out) as file:
        np.savez(file, features=torch.cat(features).numpy(), paths=np.array(list(map(str, paths))))
    report(f'{len(paths)} images, {encoder.width} numbers each: {out}')
    return Path(out)


def preprocessor_of(encoder: Encoder) -> ClsDataPreprocessor:
    """Return what normalizes images of a loader as in training, by ImageNet's colors if unknown.

    Raises:
        UserError: it is unknown for images of another number of channels than 3.
    """
    known = encoder.normalization
    if encoder.channels != 3 and known.keys() != {'mean', 'std'}:
        raise UserError(
            f'{encoder.source} does not state mean and std of its {encoder.channels} channels: '
            'take a checkpoint of `symmim pretrain`'
        )
    return ClsDataPreprocessor(**{**IMAGENET, **known}, to_rgb=True)


def _read(cfg: Config, work_dir: Path) -> tuple[list[str], list[Tensor]]:
    """Return paths below the folder and images ``(C, H, W)``, spread over the folder."""
    settings = cfg.default_hooks.images.dataset.copy()
    paths, images = [], []
    for name in LISTS:
        settings.ann_file = str((work_dir / 'plan' / name).resolve())
        dataset = DATASETS.build(settings)
        for index in spread(len(dataset), MOST_IMAGES):
            try:
                images.append(dataset[index]['inputs'])
            except ImageError:  # was skipped in training, too
                continue
            path = dataset.get_data_info(index)['img_path']
            paths.append(os.path.relpath(path, settings.data_root))
    return paths, images


def spread(length: int, most: int) -> list[int]:
    """Return at most so many indices, spread evenly over a length."""
    count = min(length, most)
    return [number * length // count for number in range(count)]


def find_duplicates(pixels: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Return each image that is nearly the same as an earlier one, after the first such one.

    16 x 16 pixels of each are compared: features of a short run are all alike.

    Args:
        pixels: images, uint8 ``(H, W, 3)``.
    """
    small = np.stack([thumbnail(image, 16).reshape(-1) for image in pixels]).astype(np.float64)
    small -= small.mean(axis=1, keepdims=True)
    small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)
    alike = np.triu(small @ small.T, 1) > DUPLICATE
    return [(int(alike[:, j].argmax()), j) for j in range(len(alike)) if alike[:, j].any()]


def accuracies(features: Mapping[str, Tensor], paths: list[str]) -> Iterator[str]:
    """Yield how well every other image is classified by the rest, if folders may be classes.

    Args:
        features: float ``(N, C)``, by the name of their encoder.
        paths: of the images, relative to the folder that may hold those of classes.
    """
    names = [path.split(os.sep)[0] for path in paths]
    classes = sorted(set(names))
    if len(classes) < 2 or any(os.sep not in path for path in paths):
        return
    labels = torch.tensor([classes.index(name) for name in names])
    odd = torch.arange(len(labels)) % 2 == 1
    k = min(20, int((~odd).sum()))
    classifiers: dict[str, Callable[..., Tensor]] = {
        'k-NN': partial(classify_knn, k=k),
        'a linear classifier': classify_linear,
    }
    for classifier, classify in classifiers.items():
        found = []
        for name, embedding in features.items():
            guessed = classify(embedding[~odd], labels[~odd], embedding[odd], len(classes))
            found.append(f'{100 * float((guessed == labels[odd]).double().mean()):.1f} % ({name})')
        yield (
            f'if the {len(classes)} folders are classes: {classifier} is right on '
            f'{", ".join(found)} of {int(odd.sum())} images'
        )
