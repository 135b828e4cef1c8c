"""Loading of a whole image that refuses what is damaged, by name."""

from mmcv.transforms import BaseTransform

from symmim_mm.datasets.transforms.decode_region import take_image
from symmim_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImageStrict(BaseTransform):
    """``LoadImageFromFile`` that refuses damaged files, in one line that names the file.

    OpenCV gives the pixels, as in the stock step. That one takes a JPEG that ends too early for an
    image with a gray part, and ends with a traceback where there is no image at all.

    Required keys: ``img_path``, or ``img_bytes`` with the encoded image. Added keys: ``img``,
    uint8 BGR ``(H, W, 3)``, ``img_shape`` and ``ori_shape``, both ``(H, W)``.

    Args:
        backend_args: as of ``LoadImageFromFile``.

    Raises:
        ImageError: at an image that cannot be read.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Add the pixels of an image."""
        image = take_image(results, self.backend_args)
        if image.pixels is None:
            image.decode_whole()
        results['img'] = image.pixels
        results['img_shape'] = results['ori_shape'] = image.pixels.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args})'
