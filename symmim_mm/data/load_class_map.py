"""Loading of the classes of a picture's pixels that refuses what does not fit, by name."""

from typing import Any

from mmcv.transforms import BaseTransform
from PIL import Image

from symmim_mm.data.picture_region import PictureError
from symmim_mm.registry import TRANSFORMS

IGNORED = 255  # MMSegmentation's number of pixels that do not count


@TRANSFORMS.register_module()
class LoadClassMap(BaseTransform):
    """MMSegmentation's ``LoadAnnotations`` that tells in one line which file it cannot use.

    The stock step ends with a traceback, or trains on pixels with the classes of others where a
    class map is not as large as its picture.

    Required and added keys: as ``mmseg.LoadAnnotations``; also required is ``ori_shape``, ``(H,
    W)`` of the picture's file.

    Args:
        classes: how many there are; None does not look for others.
        **options: of ``mmseg.LoadAnnotations``.

    Raises:
        PictureError: at a file that is missing, damaged, of another size than its picture, or
            with other classes.
    """

    def __init__(self, classes: int | None = None, **options: Any) -> None:
        self.classes = classes
        self.load = TRANSFORMS.build(dict(type='mmseg.LoadAnnotations', **options))

    def transform(self, results: dict) -> dict:
        """Add the classes of a picture's pixels."""
        path = results['seg_map_path']
        try:
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
