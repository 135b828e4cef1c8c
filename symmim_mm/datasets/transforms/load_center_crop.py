"""Loading, resizing and center-cropping of an image in one step, for evaluation."""

from mmcv.transforms import BaseTransform

from symmim_mm.datasets.transforms.decode_region import take_image
from symmim_mm.datasets.transforms.load_random_resized_crop import resize
from symmim_mm.registry import TRANSFORMS
from symmim_mm.utils.errors import UserError


@TRANSFORMS.register_module()
class LoadCenterCrop(BaseTransform):
    """Load an image, resize its shorter side, and take the center.

    Replaces ``LoadImageFromFile``, ``ResizeEdge(edge='short', backend='pillow',
    interpolation='bicubic')`` and ``CenterCrop`` of a stock pipeline: its images differ by rounding
    only. Resizing is as in :class:`LoadRandomResizedCrop`.

    Required keys: ``img_path``, or ``img_bytes`` with the encoded image. Added keys: ``img``, a
    uint8 BGR tensor ``(3, crop, crop)`` which ``PackInputs`` takes as it is, ``img_shape``, and
    ``ori_shape``.

    Args:
        edge: shorter side after resizing.
        crop: side of the crop, at most ``edge``.
        backend_args: as of ``LoadImageFromFile``.

    Raises:
        UserError: a crop that is larger than the edge, or smaller than a pixel.
        ImageError: at an image that cannot be read.
    """

    def __init__(self, edge: int = 256, crop: int = 224, backend_args: dict | None = None) -> None:
        if not 1 <= crop <= edge:
            raise UserError(f'crop must be between 1 and edge ({edge}), got {crop}')
        self.edge = edge
        self.crop = crop
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Add the center of an image."""
        encoded = take_image(results, self.backend_args)
        width, height = encoded.size
        short = min(width, height)
        rows, columns = self.edge * height // short, self.edge * width // short
        image = resize(encoded.crop(0, 0, height, width), (rows, columns))
        top, left = round((rows - self.crop) / 2), round((columns - self.crop) / 2)
        image = image[:, top : top + self.crop, left : left + self.crop]
        results['img'] = image.contiguous()
        results['ori_shape'] = (height, width)
        results['img_shape'] = (self.crop, self.crop)
        return results
