"""Transforms that bring trouble into a run; a config imports them by ``custom_imports``."""

import os
import signal
import time

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module(force=True)
class Poison(BaseTransform):
    """Turns pictures whose path contains a text into ones that are not finite; float32 for all.

    Args:
        name: part of the path; ``''`` is in every path.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def transform(self, results: dict) -> dict:
        image = results['img']
        tensor = isinstance(image, torch.Tensor)
        results['img'] = image.float() if tensor else image.astype(np.float32)
        if self.name in results['img_path']:
            results['img'] += np.nan
        return results


@TRANSFORMS.register_module(force=True)
class Trouble(BaseTransform):
    """Never gets done with a picture, or kills the process that reads it.

    Those are the pictures whose path contains the text in ``HANG_AT`` or ``DIE_AT``, if set.
    """

    def transform(self, results: dict) -> dict:
        while (name := os.environ.get('HANG_AT')) and name in results['img_path']:
            time.sleep(1)
        if (name := os.environ.get('DIE_AT')) and name in results['img_path']:
            os.kill(os.getpid(), signal.SIGKILL)
        return results


def config_lines(transform: str, loader: str = 'train_dataloader') -> str:
    """Lines of a config that put a transform before the packing of a loader's pictures."""
    return f"""
custom_imports = dict(imports=['injections'])
pipeline = _base_.{loader}.dataset.pipeline
{loader} = dict(dataset=dict(pipeline=[*pipeline[:-1], {transform}, pipeline[-1]]))
"""
