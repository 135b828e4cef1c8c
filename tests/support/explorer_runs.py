"""Runs as `symmim app` finds them, without a training."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image
from tiny_models import tiny_config

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def make_run(folder: Path, method: str, task: str = 'pretrain', **changes: object) -> Path:
    """Write what a run leaves: a config and a checkpoint that holds it, and eight images."""
    init_default_scope('mmpretrain')
    images = folder / 'images'
    images.mkdir(parents=True)
    for number in range(8):
        Image.fromarray(np.roll(PHOTO, 5 * number, axis=1)).save(images / f'{number}.png')
    model = tiny_config(method) | changes
    data = dict(mean=[100.0, 110.0, 120.0], std=[50.0, 55.0, 60.0], bgr_to_rgb=True)
    model['data_preprocessor'] = data
    if method == 'mae':
        model['data_preprocessor'] = dict(type='symmim_mm.ViewPreprocessor', **data)
    dataset = dict(type='symmim_mm.ImageFolder', data_root=str(images), with_label=False)
    cfg = Config(
        dict(
            run=dict(task=task, dataset='images'), model=model,
            train_dataloader=dict(dataset=dataset),
            default_hooks=dict(images=None),
        )
    )  # fmt: skip
    cfg.dump(folder / 'config.py')
    built = MODELS.build(cfg.model)
    built.init_weights()
    meta = dict(cfg=cfg.pretty_text)
    torch.save(dict(state_dict=built.state_dict(), meta=meta), folder / 'epoch_1.pth')
    return folder
