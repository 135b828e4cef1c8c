"""Views on the device: normalization, and color distortion against its steps one by one."""

import pytest
import torch

from symmim_mm.models import ViewPreprocessor
from symmim_mm.models.view_preprocessor import LUMA, color_jitter
from symmim_mm.utils.errors import UserError

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def test_one_view_is_normalized_rgb() -> None:
    images = torch.randint(0, 256, (2, 3, 4, 4)).byte()
    preprocessor = ViewPreprocessor(mean=MEAN, std=STD, bgr_to_rgb=True)
    found = preprocessor(dict(inputs=images), training=True)['inputs']
    expected = (images[:, [2, 1, 0]].double() - torch.tensor(MEAN)[:, None, None]) / torch.tensor(
        STD
    )[:, None, None]
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_distorted_gives_the_plain_and_a_changed_view_in_training_only() -> None:
    images = torch.randint(0, 256, (8, 3, 4, 4)).byte()
    preprocessor = ViewPreprocessor(views='distorted', mean=MEAN, std=STD)
    plain, changed = preprocessor(dict(inputs=images), training=True)['inputs']
    torch.testing.assert_close(plain, preprocessor(dict(inputs=images))['inputs'])
    assert not torch.allclose(plain, changed)


def test_two_crops_pass_through() -> None:
    crops = [torch.randint(0, 256, (2, 3, 4, 4)).byte() for _ in range(2)]
    first, second = ViewPreprocessor(mean=MEAN, std=STD)(dict(inputs=crops), True)['inputs']
    assert first.shape == second.shape == (2, 3, 4, 4)
    assert not torch.equal(first, second)


OFF = dict(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, gray_probability=0.0)


def test_nothing_switched_on_changes_nothing() -> None:
    images = torch.rand(3, 3, 5, 5)
    torch.testing.assert_close(color_jitter(images, **OFF), images, rtol=0, atol=1e-5)


def test_greyscale_is_luma() -> None:
    images = torch.rand(3, 3, 5, 5)
    gray = color_jitter(images, **{**OFF, 'gray_probability': 1.0})
    luma = (images * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(gray, luma.expand_as(images))


def test_matches_the_steps_done_one_after_the_other() -> None:
    """Brightness, contrast about the mean luma, saturation, each as torchvision defines it."""
    from torchvision.transforms.v2 import functional as tv

    images = torch.rand(6, 3, 8, 8, dtype=torch.double) * 0.4 + 0.3  # nothing is clamped
    strength = dict(brightness=0.2, contrast=0.2, saturation=0.2)
    generator = torch.Generator().manual_seed(4)
    settings = {**OFF, **strength, 'jitter_probability': 1.0}
    found = color_jitter(images.float(), **settings, generator=generator)
    draws = torch.rand(6, 6, generator=torch.Generator().manual_seed(4))
    factors = (1 + (2 * draws[:3] - 1) * 0.2).double()
    for index, image in enumerate(images):
        step = tv.adjust_brightness(image, factors[0, index].item())
        step = tv.adjust_contrast(step, factors[1, index].item())
        step = tv.adjust_saturation(step, factors[2, index].item())
        # torchvision's luma weights have four digits, ours three.
        torch.testing.assert_close(found[index].double(), step, rtol=0, atol=2e-4)


def test_hue_turns_keep_luma_and_a_full_turn_is_none() -> None:
    from symmim_mm.models.view_preprocessor import _hue_rotation

    angles = torch.tensor([0.3, -1.0, 2 * torch.pi])
    matrices = _hue_rotation(angles)
    luma = torch.tensor(LUMA)
    torch.testing.assert_close(luma @ matrices, luma.expand(3, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(matrices[2], torch.eye(3), rtol=0, atol=1e-5)
    # A gray pixel stays gray to the rounding of the published YIQ matrix.
    torch.testing.assert_close(matrices @ torch.ones(3), torch.ones(3, 3), rtol=0, atol=2e-3)


def test_bad_views_are_refused() -> None:
    with pytest.raises(UserError, match='views must be'):
        ViewPreprocessor(views='three')


def test_bands_are_normalized_in_their_order() -> None:
    images = torch.rand(2, 5, 4, 4) * 255
    mean, std = [10.0, 20.0, 30.0, 40.0, 50.0], [1.0, 2.0, 3.0, 4.0, 5.0]
    found = ViewPreprocessor(mean=mean, std=std, bgr_to_rgb=True)(dict(inputs=images))['inputs']
    expected = [(images[:, n] - mean[n]) / std[n] for n in range(5)]
    torch.testing.assert_close(found, torch.stack(expected, dim=1))


@pytest.mark.parametrize('channels', [1, 2, 4, 7])
def test_jitter_of_other_channels_is_brightness_and_contrast_alone(channels: int) -> None:
    """As torchvision defines them, with the mean over the channels for the luma."""
    images = torch.rand(6, channels, 8, 8) * 0.2 + 0.4  # nothing is clamped
    strong = dict(saturation=0.9, hue=0.5, gray_probability=1.0)  # what needs RGB
    settings = dict(brightness=0.2, contrast=0.3, jitter_probability=1.0, **strong)
    found = color_jitter(images, **settings, generator=torch.Generator().manual_seed(4))
    draws = 2 * torch.rand(6, 6, generator=torch.Generator().manual_seed(4)) - 1
    for number, image in enumerate(images.double()):
        bright = image * (1 + 0.2 * draws[0, number])
        factor = 1 + 0.3 * draws[1, number]
        expected = factor * bright + (1 - factor) * bright.mean()
        torch.testing.assert_close(found[number].double(), expected, rtol=0, atol=1e-5)
    assert not torch.allclose(found, images, atol=0.01)
