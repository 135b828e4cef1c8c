"""Transforms that inject faults into a run; a config imports them by ``custom_imports``."""

import os
import signal
import time

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module(force=True)
class Poison(BaseTransform):
    """Makes images not finite whose path contains a string, and all images float32.

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
    """Hangs at an image, or kills the process that reads it.

    Those are the images whose path contains the string in ``HANG_AT`` or ``DIE_AT``, if set.
    """

    def transform(self, results: dict) -> dict:
        while (name := os.environ.get('HANG_AT')) and name in results['img_path']:
            time.sleep(1)
        if (name := os.environ.get('DIE_AT')) and name in results['img_path']:
            os.kill(os.getpid(), signal.SIGKILL)
        return results


def config_lines(transform: str, loader: str = 'train_dataloader') -> str:
    """Return lines of a config that put a transform before the packing of a loader's images."""
    return f"""
custom_imports = dict(imports=['injections'])
pipeline = _base_.{loader}.dataset.pipeline
{loader} = dict(dataset=dict(pipeline=[*pipeline[:-1], {transform}, pipeline[-1]]))
"""
