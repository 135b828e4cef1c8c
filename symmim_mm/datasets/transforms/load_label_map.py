"""Loading of the classes of a picture's pixels that refuses what does not fit, by name."""

import os
import stat
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from symmim_mm.datasets.transforms.decode_region import PictureError
from symmim_mm.registry import TRANSFORMS

IGNORED = 255  # MMSegmentation's number of pixels that do not count


@TRANSFORMS.register_module()
class LoadClassMap(BaseTransform):
    """MMSegmentation's ``LoadAnnotations`` that tells in one line which file it cannot use.

    The stock step ends with a traceback, or trains on pixels with the classes of others where a
    class map is not as large as its picture, or holds numbers that do not fit into a byte.

    Required and added keys: as ``mmseg.LoadAnnotations``; also required is ``ori_shape``, ``(H,
    W)`` of the picture's file.

    Args:
        classes: how many there are; None does not look for others.
        **options: of ``mmseg.LoadAnnotations``.

    Raises:
        PictureError: at a file that is missing, damaged, of another size than its picture, with
            other classes, or with other values than whole numbers from 0 to 255.
    """

    def __init__(self, classes: int | None = None, **options: Any) -> None:
        self.classes = classes
        self.load = TRANSFORMS.build(dict(type='mmseg.LoadAnnotations', **options))

    def transform(self, results: dict) -> dict:
        """Add the classes of a picture's pixels."""
        path = results['seg_map_path']
        try:
            _check_values(path)
            results = self.load(results)
        except FileNotFoundError as error:
            raise PictureError(f'cannot read {path}: {error.strerror}') from error
        # What Pillow says of files that are damaged, no pictures or bombs.
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise PictureError(f'{path} is not a class map that can be decoded: {error}') from error
        found, expected = results['gt_seg_map'].shape, tuple(results['ori_shape'])
        if found != expected:
            raise PictureError(
                f'{path} has {found} rows and columns, its picture {expected}: replace it, or '
                'remove both'
            )
        if self.classes is not None:
            values = results['gt_seg_map']
            stray = (values >= self.classes) & (values != IGNORED)
            if stray.any():
                raise PictureError(
                    f'{path} has {stray.sum()} pixels of no class, the largest number is '
                    f'{values[stray].max()} of 0 to {self.classes - 1}: mend it, or set num_classes'
                    ' of both heads and classes of LoadClassMap'
                )
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.load}, classes={self.classes})'


def _check_values(path: str) -> None:
    """Refuse values that MMSegmentation, which makes bytes of all, would change.

    Nearly every class map has 8 bits, so that its header is all that is read here.

    Raises:
        PictureError: a value is a fraction, negative or above 255; or the path is no file.
        OSError: as of ``os.stat`` and Pillow.
    """
    if '://' in path:  # MMEngine's file backends read it
        return
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise PictureError(f'{path} is not a file')  # a pipe would block its reader for ever
    with Image.open(path) as picture:
        if picture.mode == 'F':
            raise PictureError(
                f'{path} holds floating-point numbers: save the numbers of the classes as a PNG of '
                '8 bits'
            )
        if not picture.mode.startswith('I'):
            return
        values = np.asarray(picture)
    if values.min() < 0 or values.max() > 255:
        raise PictureError(
            f'{path} holds numbers from {values.min()} to {values.max()}, class maps have 0 to '
            '255: mend it'
        )
