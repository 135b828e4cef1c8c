"""From ``uint8`` images to the normalized views of the pre-trainings, on the device."""

from functools import cache

import torch
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from symmim_mm.registry import MODELS
from symmim_mm.utils.errors import UserError

# Luma weights of ITU-R BT.601, as Pillow and torchvision use for grayscale.
LUMA = (0.299, 0.587, 0.114)
VIEWS = ('same', 'distorted')


@MODELS.register_module()
class ViewPreprocessor(ImgDataPreprocessor):
    """Normalize a batch and, in training, derive the second view by color distortion.

    Args:
        views: ``'distorted'``: the model gets ``[image, distorted image]`` (ConMIM shows the
            plain one to its student, the distorted one to its teacher); ``'same'``: the image.
            A loader that already gives two crops (a list of two batches) passes through with
            either, the second crop being distorted with ``'distorted'``.
        distortion: parameters of :func:`color_jitter`.
        **kwargs: ``mean``, ``std``, ``bgr_to_rgb``, ... as ``ImgDataPreprocessor``; there may be as
            many channels as ``mean`` and ``std`` have, and only three are taken for BGR.

    Raises:
        UserError: unknown ``views``.
    """

    def __init__(self, views: str = 'same', distortion: dict | None = None, **kwargs) -> None:
        if views not in VIEWS:
            raise UserError(f"views must be one of {VIEWS}, got '{views}'")
        # The parent refuses another number of values than one or three.
        given = {name: kwargs[name] for name in ('mean', 'std') if kwargs.get(name) is not None}
        # A batch in pinned memory is copied asynchronously; copying others waits.
        super().__init__(**dict(non_blocking=True) | kwargs | dict.fromkeys(given, [0.0]))
        for name, values in given.items():
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)
        self.views = views
        self.distortion = distortion or {}

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalize images ``(B, C, H, W)`` in [0, 255], or a list of two such crops: float32."""
        inputs = self.cast_data(data['inputs'])
        views = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if self._channel_conversion and views[0].shape[1] == 3:
            views = [view[:, [2, 1, 0]] for view in views]
        views = [view.float() for view in views]
        if training and self.views == 'distorted':
            # Training in mixed precision comes through here too, and bf16 cannot hold 256 levels.
            with torch.autocast(views[-1].device.type, enabled=False):
                second = color_jitter(views[-1] / 255.0, **self.distortion) * 255.0
            views = [views[0], second]
        if self._enable_normalize:
            views = [(view - self.mean) / self.std for view in views]
        inputs = views if len(views) > 1 else views[0]
        return dict(inputs=inputs, data_samples=data.get('data_samples'))


def color_jitter(
    images: Tensor,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.2,
    hue: float = 0.1,
    jitter_probability: float = 0.8,
    gray_probability: float = 0.2,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return images with random color jitter and grayscale of each, batched.

    Strengths and probabilities are those of MoCo v3 (``main_moco.py``). Brightness, contrast,
    saturation and hue are all affine in the color of a pixel, so one 3 x 4 matrix per image
    does them together; values are clamped once, at the end. The hue turns the chrominance
    plane of YIQ (torchvision shifts HSV's hue instead).

    Images are RGB ``(B, 3, H, W)`` in [0, 1]. Images of another number of channels, which have no
    hue, get brightness and contrast alone, by the mean of all channels for the luma: saturation,
    hue and grayscale are left out, whatever their strength. Factors of brightness, contrast and
    saturation are uniform in ``[1 - s, 1 + s]``, the turn of the hue in ``[-hue, hue]`` of a full
    circle.
    """
    batch, channels, device = len(images), images.shape[1], images.device
    draws = torch.rand(6, batch, device=device, generator=generator)
    jitter = (draws[4] < jitter_probability).float()
    signed = (2.0 * draws[:3] - 1.0) * jitter
    strengths = brightness, contrast, saturation
    bright, contrasted, saturated = (
        (1.0 + strength * draw).view(batch, 1, 1)
        for strength, draw in zip(strengths, signed, strict=True)
    )
    angle = (2.0 * draws[3] - 1.0) * hue * jitter * (2.0 * torch.pi)

    if channels == 3:
        identity, _, _, gray = color_constants(device)
        luma = gray[0]
        saturate = saturated * identity + (1.0 - saturated) * gray
        to_gray = (draws[5] < gray_probability).float().view(batch, 1, 1)
        matrix = _hue_rotation(angle) @ saturate
        matrix = to_gray * gray + (1.0 - to_gray) * matrix
    else:
        luma = torch.full((channels,), 1.0 / channels, device=device)
        matrix = torch.eye(channels, device=device)
    # Contrast blends with the mean luma of the brightened image; every later step keeps a
    # gray level as it is, so the blend may be added at the end.
    mean_luma = torch.einsum('bchw,c->b', images, luma) / images[0, 0].numel()
    offset = (1.0 - contrasted.view(batch)) * bright.view(batch) * mean_luma
    matrix = matrix * (bright * contrasted)
    mixed = torch.einsum('bij,bjhw->bihw', matrix, images)
    return (mixed + offset.view(batch, 1, 1, 1)).clamp(0.0, 1.0)


@cache
def color_constants(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return identity, RGB -> YIQ, its inverse and grayscale: float32 ``(3, 3)`` each.

    Made once per device: building them in every step would copy from the host, and inverting
    there would wait for the device.
    """
    to_yiq = torch.tensor([LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)], device='cpu')
    gray = to_yiq[:1].repeat(3, 1)  # every output channel is the luma
    constants = torch.eye(3, device='cpu'), to_yiq, torch.linalg.inv(to_yiq), gray
    return tuple(constant.to(device) for constant in constants)


def _hue_rotation(angle: Tensor) -> Tensor:
    """Turn the I-Q plane of YIQ by ``angle`` ``(B,)`` radians: RGB matrices ``(B, 3, 3)``."""
    _, to_yiq, from_yiq, _ = color_constants(angle.device)
    cos, sin = angle.cos(), angle.sin()
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    turn = torch.stack((one, zero, zero, zero, cos, -sin, zero, sin, cos), dim=-1).view(-1, 3, 3)
    return from_yiq @ turn @ to_yiq
