"""Loading, cropping and resizing of an image in one step, for training and for evaluation."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.datasets.transforms import RandomResizedCrop
from torch import Tensor
from torch.nn.functional import interpolate

from symmim_mm.datasets.transforms.decode_region import EncodedImage, take_image
from symmim_mm.registry import TRANSFORMS
from symmim_mm.utils.errors import UserError

LAYOUTS = ('chw', 'hwc')
INTERPOLATIONS = ('bicubic', 'bilinear')


@TRANSFORMS.register_module()
class LoadRandomResizedCrop(RandomResizedCrop):
    """Load an image and make a random crop of it, decoding little more than the crop.

    Replaces ``LoadImageFromFile``, ``RandomResizedCrop(backend='pillow')`` and, with
    ``flip_prob``, ``RandomFlip`` of a stock pipeline: it draws the same numbers in the same order,
    and its images differ by rounding only. The crop is drawn from the size in the file's header;
    see :class:`EncodedImage` for what is decoded. Resizing is PyTorch's antialiased interpolation
    of ``uint8``, the filters of Pillow in vector instructions.

    Required keys: ``img_path``, or ``img_bytes`` with the encoded image. Added keys: ``img``,
    ``img_shape``, ``ori_shape``, and with ``flip_prob`` also ``flip`` and ``flip_direction``.

    Args:
        scale: side of the crop after resizing, or ``(height, width)``.
        crop_ratio_range: share of the image's area.
        aspect_ratio_range: width by height.
        flip_prob: chance of mirroring left-right; None leaves it to a later step.
        interpolation: ``'bicubic'`` or ``'bilinear'``.
        layout: ``'chw'``: ``img`` is a uint8 tensor ``(3, H, W)``, which ``PackInputs`` takes as it
            is; ``'hwc'``: a uint8 array ``(H, W, 3)`` for further transforms. BGR in both.
        max_attempts: as of ``RandomResizedCrop``.
        backend_args: as of ``LoadImageFromFile``.
        channels: that the images must have; of another number than 3 they are float32 in [0, 255],
            in the order of the file.

    Raises:
        UserError: an option outside its range.
        ImageError: at an image that cannot be read.
    """

    def __init__(
        self,
        scale: int | Sequence[int],
        crop_ratio_range: tuple[float, float] = (0.08, 1.0),
        aspect_ratio_range: tuple[float, float] = (3.0 / 4.0, 4.0 / 3.0),
        flip_prob: float | None = None,
        interpolation: str = 'bicubic',
        layout: str = 'chw',
        max_attempts: int = 10,
        backend_args: dict | None = None,
        channels: int = 3,
    ) -> None:
        if interpolation not in INTERPOLATIONS:
            raise UserError(f"interpolation must be one of {INTERPOLATIONS}, got '{interpolation}'")
        if layout not in LAYOUTS:
            raise UserError(f"layout must be one of {LAYOUTS}, got '{layout}'")
        if flip_prob is not None and not 0 <= flip_prob <= 1:
            raise UserError(f'flip_prob must be between 0 and 1, got {flip_prob}')
        super().__init__(
            scale, crop_ratio_range, aspect_ratio_range, max_attempts, interpolation, 'pillow'
        )
        self.flip_prob = flip_prob
        self.layout = layout
        self.backend_args = backend_args
        self.channels = channels

    def transform(self, results: dict) -> dict:
        """Add a random crop of an image."""
        encoded = self.open(results)
        width, height = encoded.size
        # Of an image, rand_crop_params looks at the shape alone.
        part = encoded.crop(*self.rand_crop_params(np.broadcast_to(0, (height, width))))
        image = resize(part, self.scale, self.interpolation)
        if self.flip_prob is not None:
            # The draw of mmcv's RandomFlip, without the detours of numpy.random.choice.
            flip = bool(np.random.random_sample() < self.flip_prob)
            image = image.flip(-1) if flip else image
            results['flip'] = flip
            results['flip_direction'] = 'horizontal' if flip else None
        if self.layout == 'hwc':
            image = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        results['img'] = image
        results['ori_shape'] = (height, width)
        results['img_shape'] = self.scale
        return results

    def open(self, results: dict) -> EncodedImage:
        """Return the image of ``img_bytes`` (which is taken out) or ``img_path``."""
        return take_image(results, self.backend_args, self.channels)


@TRANSFORMS.register_module()
class LoadCenterCrop(BaseTransform):
    """Load an image, resize its shorter side, and take the center.

    Replaces ``LoadImageFromFile``, ``ResizeEdge(edge='short', backend='pillow',
    interpolation='bicubic')`` and ``CenterCrop`` of a stock pipeline: its images differ by rounding
    only. Resizing is as in :class:`LoadRandomResizedCrop`.

    Required keys: ``img_path``, ``img_bytes`` with the encoded image, or ``img`` with one that an
    inferencer has loaded. Added keys: ``img``, a uint8 BGR tensor ``(3, crop, crop)`` which
    ``PackInputs`` takes as it is, ``img_shape``, and ``ori_shape``.

    Args:
        edge: shorter side after resizing.
        crop: side of the crop, at most ``edge``.
        backend_args: as of ``LoadImageFromFile``.
        channels: as of :class:`LoadRandomResizedCrop`.

    Raises:
        UserError: a crop that is larger than the edge, or smaller than a pixel.
        ImageError: at an image that cannot be read.
    """

    def __init__(
        self,
        edge: int = 256,
        crop: int = 224,
        backend_args: dict | None = None,
        channels: int = 3,
    ) -> None:
        if not 1 <= crop <= edge:
            raise UserError(f'crop must be between 1 and edge ({edge}), got {crop}')
        self.edge = edge
        self.crop = crop
        self.backend_args = backend_args
        self.channels = channels

    def transform(self, results: dict) -> dict:
        """Add the center of an image."""
        whole = results.get('img')
        if whole is None:
            encoded = take_image(results, self.backend_args, self.channels)
            whole = encoded.crop(0, 0, *encoded.size[::-1])
        height, width = whole.shape[:2]
        short = min(width, height)
        rows, columns = self.edge * height // short, self.edge * width // short
        image = resize(whole, (rows, columns))
        top, left = round((rows - self.crop) / 2), round((columns - self.crop) / 2)
        image = image[:, top : top + self.crop, left : left + self.crop]
        results['img'] = image.contiguous()
        results['ori_shape'] = (height, width)
        results['img_shape'] = (self.crop, self.crop)
        return results


def resize(image: np.ndarray, size: Sequence[int], interpolation: str = 'bicubic') -> Tensor:
    """Resize with antialiased interpolation, as Pillow's ``BICUBIC`` and ``BILINEAR``.

    Args:
        image: uint8 or float32 ``(H, W, C)``, in [0, 255]; may be a view with any strides.
        size: ``(height, width)`` wanted.
        interpolation: ``'bicubic'`` or ``'bilinear'``.

    Returns:
        ``(C, height, width)`` of the same type and range, contiguous.
    """
    # PyTorch's vector code wants channels last and no gaps between rows.
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0)
    resized = interpolate(tensor, tuple(size), mode=interpolation, antialias=True)
    if resized.is_floating_point():  # as integers, which cannot overshoot
        resized = resized.clamp(0, 255)
    return resized.squeeze(0).contiguous()
