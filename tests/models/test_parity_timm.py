"""timm's ViT and ours give the same features after the key map, at full size."""

import pytest
import timm
import torch
from formula_weights import draw
from mmpretrain.models import VisionTransformer
from torch import Tensor, nn

from symmim_mm.checkpoint.key_map import from_dialect, to_dialect


def with_noise(model: nn.Module) -> nn.Module:
    """Draw what both libraries start at 0 or 1, so that a swapped name or bias shows."""
    for parameter in model.parameters():
        if parameter.ndim < 2 or parameter.std() == 0:
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.eval()  # MMPretrain's returns None
    return model


def images() -> Tensor:
    return draw('images', (1, 3, 224, 224)).float()


@pytest.mark.parametrize(
    ('arch', 'name'),
    [
        ('deit-small', 'vit_small_patch16_224'),
        pytest.param('large', 'vit_large_patch16_224', marks=pytest.mark.slow),
    ],
)
def test_all_tokens_agree_to_1e_5(arch: str, name: str) -> None:
    theirs = with_noise(timm.create_model(name, num_classes=0))
    ours = VisionTransformer(arch=arch, out_type='raw')
    ours.load_state_dict(from_dialect(theirs.state_dict(), 'timm'), strict=True)
    ours.eval()
    with torch.no_grad():
        expected, (found,) = theirs.forward_features(images()), ours(images())
    assert expected.shape == found.shape == (1, 197, ours.embed_dims)
    assert expected.std() > 0.5
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_pooled_features_of_a_fine_tuning_agree() -> None:
    """``norm`` behind the layers is ``ln1``, ``fc_norm`` behind the pooling is ``ln2``."""
    ours = with_noise(VisionTransformer('deit-small', out_type='avg_featmap', final_norm=False))
    theirs = timm.create_model('vit_small_patch16_224', num_classes=0, global_pool='avg').eval()
    theirs.load_state_dict(to_dialect(ours.state_dict(), 'timm'), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(ours(images())[0], theirs(images()), rtol=0, atol=1e-5)
