"""From ``uint8`` pictures to the normalised views of the pre-trainings, on the device."""

from functools import cache

import torch
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from symmim_mm.registry import MODELS
from symmim_mm.utils.errors import UserError

# Luma weights of ITU-R BT.601, as Pillow and torchvision use for greyscale.
LUMA = (0.299, 0.587, 0.114)
VIEWS = ('same', 'distorted')


@MODELS.register_module()
class ViewPreprocessor(ImgDataPreprocessor):
    """Normalise a batch and, in training, derive the second view by colour distortion.

    Args:
        views: ``'distorted'``: the model gets ``[picture, distorted picture]`` (ConMIM shows the
            plain one to its student, the distorted one to its teacher); ``'same'``: the picture.
            A loader that already gives two crops (a list of two batches) passes through with
            either, the second crop being distorted with ``'distorted'``.
        distortion: parameters of :func:`distort_colours`.
        **kwargs: ``mean``, ``std``, ``bgr_to_rgb``, ... as ``ImgDataPreprocessor``.

    Raises:
        UserError: unknown ``views``.
    """

    def __init__(self, views: str = 'same', distortion: dict | None = None, **kwargs) -> None:
        if views not in VIEWS:
            raise UserError(f"views must be one of {VIEWS}, got '{views}'")
        # A batch in pinned memory is copied while the program goes on; others are waited for.
        super().__init__(**dict(non_blocking=True) | kwargs)
        self.views = views
        self.distortion = distortion or {}

    def forward(self, data: dict, training: bool = False) -> dict:
        """Pictures uint8 ``(B, 3, H, W)``, or a list of two such crops, to normalised float32."""
        inputs = self.cast_data(data['inputs'])
        pictures = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if self._channel_conversion:
            pictures = [picture[:, [2, 1, 0]] for picture in pictures]
        pictures = [picture.float() for picture in pictures]
        if training and self.views == 'distorted':
            # Training in mixed precision comes through here too, and bf16 cannot hold 256 levels.
            with torch.autocast(pictures[-1].device.type, enabled=False):
                second = distort_colours(pictures[-1] / 255.0, **self.distortion) * 255.0
            pictures = [pictures[0], second]
        if self._enable_normalize:
            pictures = [(picture - self.mean) / self.std for picture in pictures]
        inputs = pictures if len(pictures) > 1 else pictures[0]
        return dict(inputs=inputs, data_samples=data.get('data_samples'))


def distort_colours(
    images: Tensor,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.2,
    hue: float = 0.1,
    jitter_probability: float = 0.8,
    grey_probability: float = 0.2,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Random colour jitter and greyscale of each image, batched.

    Strengths and probabilities are those of MoCo v3 (``main_moco.py``). Brightness, contrast,
    saturation and hue are all affine in the colour of a pixel, so one 3 x 4 matrix per image
    does them together; values are clamped once, at the end. The hue turns the chrominance
    plane of YIQ (torchvision shifts HSV's hue instead).

    Args:
        images: RGB ``(B, 3, H, W)`` in [0, 1].
        brightness, contrast, saturation: factors are uniform in ``[1 - s, 1 + s]``.
        hue: the turn is uniform in ``[-hue, hue]`` of a full circle.

    Returns:
        ``(B, 3, H, W)`` in [0, 1].
    """
    batch, device = len(images), images.device
    draws = torch.rand(6, batch, device=device, generator=generator)
    jitter = (draws[4] < jitter_probability).float()
    signed = (2.0 * draws[:3] - 1.0) * jitter
    strengths = brightness, contrast, saturation
    bright, contrasted, saturated = (
        (1.0 + strength * draw).view(batch, 1, 1)
        for strength, draw in zip(strengths, signed, strict=True)
    )
    angle = (2.0 * draws[3] - 1.0) * hue * jitter * (2.0 * torch.pi)

    identity, _, _, grey = colour_constants(device)
    luma = grey[0]
    saturate = saturated * identity + (1.0 - saturated) * grey
    to_grey = (draws[5] < grey_probability).float().view(batch, 1, 1)
    matrix = _hue_rotation(angle) @ saturate
    matrix = to_grey * grey + (1.0 - to_grey) * matrix
    # Contrast blends with the mean luma of the brightened picture; every later step keeps a
    # grey level as it is, so the blend may be added at the end.
    mean_luma = torch.einsum('bchw,c->b', images, luma) / images[0, 0].numel()
    offset = (1.0 - contrasted.view(batch)) * bright.view(batch) * mean_luma
    matrix = matrix * (bright * contrasted)
    mixed = torch.einsum('bij,bjhw->bihw', matrix, images)
    return (mixed + offset.view(batch, 1, 1, 1)).clamp(0.0, 1.0)


@cache
def colour_constants(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Identity, RGB -> YIQ, its inverse, and the greyscale matrix: float32 ``(3, 3)`` each.

    Made once per device: building them in every step would copy from the host, and inverting
    there would wait for the device.
    """
    to_yiq = torch.tensor([LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)], device='cpu')
    grey = to_yiq[:1].repeat(3, 1)  # every output channel is the luma
    constants = torch.eye(3, device='cpu'), to_yiq, torch.linalg.inv(to_yiq), grey
    return tuple(constant.to(device) for constant in constants)


def _hue_rotation(angle: Tensor) -> Tensor:
    """Turn the I-Q plane of YIQ by ``angle`` ``(B,)`` radians: RGB matrices ``(B, 3, 3)``."""
    _, to_yiq, from_yiq, _ = colour_constants(angle.device)
    cos, sin = angle.cos(), angle.sin()
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    turn = torch.stack((one, zero, zero, zero, cos, -sin, zero, sin, cos), dim=-1).view(-1, 3, 3)
    return from_yiq @ turn @ to_yiq
