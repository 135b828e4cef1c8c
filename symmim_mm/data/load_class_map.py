"""Loading of the classes of a picture's pixels that refuses what does not fit, by name."""

from typing import Any

from mmcv.transforms import BaseTransform
from PIL import Image

from symmim_mm.data.picture_region import PictureError
from symmim_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadClassMap(BaseTransform):
    """MMSegmentation's ``LoadAnnotations`` that tells in one line which file it cannot use.

    The stock step ends with a traceback, or trains on pixels with the classes of others where a
    class map is not as large as its picture.

    Required and added keys: as ``mmseg.LoadAnnotations``; also required is ``ori_shape``, ``(H,
    W)`` of the picture's file.

    Args:
        **options: of ``mmseg.LoadAnnotations``.

    Raises:
        PictureError: at a file that is missing, damaged or of another size than its picture.
    """

    def __init__(self, **options: Any) -> None:
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
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.load})'
