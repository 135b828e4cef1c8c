"""Loading of a whole picture that refuses what is damaged, by name."""

from mmcv.transforms import BaseTransform

from symmim_mm.datasets.transforms.decode_region import Picture, read_file
from symmim_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadPicture(BaseTransform):
    """``LoadImageFromFile`` that tells in one line which file cannot be read.

    OpenCV gives the pixels, as in the stock step. That one takes a JPEG that ends too early for a
    picture with a grey part, and ends with a traceback where there is no picture at all.

    Required keys: ``img_path``, or ``img_bytes`` with the encoded picture. Added keys: ``img``,
    uint8 BGR ``(H, W, 3)``, ``img_shape`` and ``ori_shape``, both ``(H, W)``.

    Args:
        backend_args: as of ``LoadImageFromFile``.

    Raises:
        PictureError: at a picture that cannot be read.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Add the pixels to a picture's place."""
        path = results.get('img_path', 'a picture without a name')
        data = results.pop('img_bytes', None)
        picture = Picture(read_file(path, self.backend_args) if data is None else data, path)
        if picture.pixels is None:
            picture.decode_whole()
        results['img'] = picture.pixels
        results['img_shape'] = results['ori_shape'] = picture.pixels.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args})'
