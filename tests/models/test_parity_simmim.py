"""SimMIM for plain ViTs against SimMIM's own code: same weights, same masks, same numbers.

How the golden numbers were made: ``models/simmim.py``, ``models/vision_transformer.py`` and
``data/data_simmim.py`` of microsoft/SimMIM at commit d3e29bcac950b83edc34ca33fe4404f38309052c,
unchanged, with timm 0.3.2, in float64 on a CPU. ``SimMIM(VisionTransformerForSimMIM(img_size=48,
patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=0, qkv_bias=True,
norm_layer=partial(nn.LayerNorm, eps=1e-6), ...), encoder_stride=8)``; weights, the position
embedding included, from ``formula_weights.fill``, images from ``draw('images', (2, 3, 48, 48))``,
masks from its ``MaskGenerator(48, 16, 8, .6)`` after ``np.random.seed(0)``.

What is different here on purpose was switched off there, through its own options: positions are
absolute (``use_abs_pos_emb=True``, no relative bias, own or shared) and layers are not scaled
(``init_values=None``). A key's bias, which its attention does not have, is zero here.
"""

import pytest
import torch
from formula_weights import draw, fill, relabelled
from mmengine.config import Config
from mmengine.registry import MODELS
from paths import ROOT
from torch import Tensor

from symmim_mm.checkpoint.key_map import from_dialect
from symmim_mm.models import SimMIM
from symmim_mm.models.masks import random_mask
from symmim_mm.models.pixel_head import unpatchify

LOSS = 0.9453558543886879
MASKS = ['001111001111001100001100111111111111', '111100111100110000110000111111111111']
RECONSTRUCTION = [  # [1, :, 17, 30] and [0, 2, 5, 40:43]
    1.3589798129223838, 0.1263333710561032, 0.5710419224831945,
    0.38008607226574087, -0.42385794479530875, -1.0516281822049243,
]  # fmt: skip
RECONSTRUCTION_MEAN_SQUARE = 0.3922045929298032
GRADIENT_NORMS = {  # of the loss, by SimMIM's names
    'encoder.cls_token': 0.003314900835304566,
    'encoder.patch_embed.proj.weight': 0.011292158895956307,
    'encoder.blocks.1.attn.qkv.weight': 0.0590619464178709,
    'encoder.mask_token': 0.05695885196250982,
    'encoder.blocks.0.mlp.fc1.bias': 0.01867117380021037,
    'decoder.0.weight': 0.17425879633360283,
}
# MaskGenerator(32 * side, 32, 16, ratio).mask_count, by (side, ratio).
MASK_COUNTS = {
    4: {0.1: 2, 0.25: 4, 0.4: 7, 0.5: 8, 0.6: 10, 0.75: 12, 0.9: 15},
    6: {0.1: 4, 0.25: 9, 0.4: 15, 0.5: 18, 0.6: 22, 0.75: 27, 0.9: 33},
    7: {0.1: 5, 0.25: 13, 0.4: 20, 0.5: 25, 0.6: 30, 0.75: 37, 0.9: 45},
    12: {0.1: 15, 0.25: 36, 0.4: 58, 0.5: 72, 0.6: 87, 0.75: 108, 0.9: 130},
}


def shapes() -> dict[str, tuple[int, ...]]:
    """The state dict of SimMIM's model of that size."""
    found = {
        'encoder.cls_token': (1, 1, 32),
        'encoder.pos_embed': (1, 37, 32),
        'encoder.mask_token': (1, 1, 32),
        'encoder.patch_embed.proj.weight': (32, 3, 8, 8),
        'encoder.patch_embed.proj.bias': (32,),
        'encoder.norm.weight': (32,),
        'encoder.norm.bias': (32,),
        'decoder.0.weight': (192, 32, 1, 1),
        'decoder.0.bias': (192,),
    }
    for block in ('encoder.blocks.0.', 'encoder.blocks.1.'):
        found |= {f'{block}attn.qkv.weight': (96, 32), f'{block}attn.proj.weight': (32, 32)}
        found |= {f'{block}mlp.fc1.weight': (128, 32), f'{block}mlp.fc1.bias': (128,)}
        found |= {f'{block}mlp.fc2.weight': (32, 128), f'{block}mlp.fc2.bias': (32,)}
        found |= {f'{block}attn.{stem}': (32,) for stem in ('q_bias', 'v_bias', 'proj.bias')}
        found |= {f'{block}norm{i}.{leaf}': (32,) for i in '12' for leaf in ('weight', 'bias')}
    return found


def by_patch(value: Tensor) -> Tensor:
    """Rows of its 1 x 1 convolution, ``(channel, row, column)`` for the pixel shuffle, in the
    order of a patch here: ``(row, column, channel)``."""
    return value.reshape(3, 8, 8, -1).permute(1, 2, 0, 3).reshape(192, -1)


def here(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """SimMIM's state dict by our names."""
    state = dict(state)
    for block in ('encoder.blocks.0.', 'encoder.blocks.1.'):
        query = state.pop(f'{block}attn.q_bias')
        value = state.pop(f'{block}attn.v_bias')
        state[f'{block}attn.qkv.bias'] = torch.cat((query, torch.zeros_like(query), value))
    return {
        **relabelled(from_dialect(state, 'timm', 'encoder.'), '', 'backbone.'),
        'backbone.mask_token': state['encoder.mask_token'],
        'head.predict.weight': by_patch(state['decoder.0.weight']),
        'head.predict.bias': by_patch(state['decoder.0.bias']).flatten(),
    }


@pytest.fixture
def simmim(mmpretrain_scope, monkeypatch: pytest.MonkeyPatch) -> SimMIM:
    """The model of configs/simmim, small, with the formula's weights and the golden masks."""
    config = Config.fromfile(ROOT / 'configs/simmim/vit_b_pretrain.py').model
    arch = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=128)
    config.backbone.update(arch=arch, img_size=48, patch_size=8, drop_path_rate=0.0)
    model = MODELS.build(config).double()
    model.load_state_dict(here(fill(shapes())), strict=True)
    mask = torch.tensor([[int(value) for value in row] for row in MASKS]).bool().view(2, 6, 6)
    monkeypatch.setattr(model, 'draw_reconstruction_mask', lambda batch, device: (mask, 12))
    return model


def test_reconstruction(simmim: SimMIM) -> None:
    _, prediction = simmim.reconstruct(draw('images', (2, 3, 48, 48)))
    image = unpatchify(prediction, (6, 6), 8)
    found = [*image[1, :, 17, 30].tolist(), *image[0, 2, 5, 40:43].tolist()]
    assert found == pytest.approx(RECONSTRUCTION, rel=1e-10)
    assert image.square().mean().item() == pytest.approx(RECONSTRUCTION_MEAN_SQUARE, rel=1e-10)


def test_loss_and_gradients(simmim: SimMIM) -> None:
    """The loss is computed in float32 here; there, 1e-5 is added to the number of pixels (3072)."""
    loss = simmim.loss(draw('images', (2, 3, 48, 48)))['loss_mim']
    assert loss.item() == pytest.approx(LOSS, rel=1e-6)
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in simmim.named_parameters()}
    ours = {theirs: name for name, theirs in zip(
        ('backbone.cls_token', 'backbone.patch_embed.projection.weight',
         'backbone.layers.1.attn.qkv.weight', 'backbone.mask_token',
         'backbone.layers.0.ffn.layers.0.0.bias', 'head.predict.weight'),
        GRADIENT_NORMS, strict=True,
    )}  # fmt: skip
    found = {theirs: gradients[ours[theirs]].norm().item() for theirs in GRADIENT_NORMS}
    assert found == pytest.approx(GRADIENT_NORMS, rel=1e-5)


@pytest.mark.parametrize('side', MASK_COUNTS)
def test_masks_cover_as_many_squares_as_its_generator_does(side: int) -> None:
    for ratio, count in MASK_COUNTS[side].items():
        mask = random_mask((2 * side, 2 * side), ratio, batch=3, unit=2)
        assert mask.sum(dim=(1, 2)).tolist() == [4 * count] * 3


def test_masks_follow_the_law_of_its_generator(mmpretrain_scope) -> None:
    """Whole squares of 32 pixels, 30 of 49, every subset equally likely.

    For a uniform subset of k among n, a square is masked with p = k / n and a pair of them with
    k (k - 1) / (n (n - 1)). 20,000 drawings have standard errors of 0.0034 and 0.0034 at most;
    0.02 is more than five of them for each of the 49 + 1176 shares.
    """
    model = MODELS.build(Config.fromfile(ROOT / 'configs/simmim/vit_b_pretrain.py').model)
    mask, visible = model.draw_reconstruction_mask(20_000, torch.device('cpu'))
    assert mask.shape == (20_000, 14, 14)
    assert visible == 196 - 4 * 30
    squares = mask.view(-1, 7, 2, 7, 2)
    assert (squares.all(dim=4).all(dim=2) == squares.any(dim=4).any(dim=2)).all()
    drawn = squares[:, :, 0, :, 0].flatten(1).float()
    assert (drawn.sum(dim=1) == 30).all()
    together = drawn.T @ drawn / len(drawn)
    expected = torch.full((49, 49), 30 * 29 / (49 * 48)).fill_diagonal_(30 / 49)
    assert (together - expected).abs().max() < 0.02
