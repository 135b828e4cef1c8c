"""MAE as configured here against MAE's own code: same weights, same noise, same numbers.

How the golden numbers were made: ``models_mae.py`` of facebookresearch/mae at commit
efb2a8062c206524e35e47d04501ed4f544c0ae8, unchanged, with timm 0.3.2, in float64 on a CPU.
``MaskedAutoencoderViT(img_size=48, patch_size=8, embed_dim=32, depth=2, num_heads=4,
decoder_embed_dim=16, decoder_depth=2, decoder_num_heads=2, norm_layer=partial(nn.LayerNorm,
eps=1e-6), norm_pix_loss=True)``; weights, position tables included, from
``formula_weights.fill``, images from ``draw('images', (2, 3, 48, 48))``, and
``draw('noise', (2, 36))`` in place of the ``torch.rand`` of its ``random_masking``.
"""

import pytest
import torch
from formula_weights import draw, fill, relabelled
from mmengine.config import Config
from mmengine.registry import MODELS
from paths import ROOT
from torch import Tensor, nn

from symmim_mm.checkpoint.key_map import from_dialect
from symmim_mm.models import MaskedViT, PixelHead
from symmim_mm.models.backbones.masked_vit import sincos_position_embedding

LOSS = 1.166155528482982
KEPT = [[5, 4, 31, 16, 12, 34, 21, 11, 33], [21, 5, 14, 28, 0, 4, 1, 34, 26]]
MASKS = ['111100111110011101111011111111101001', '001100111111110111111011110101111101']
# latent[1, :3, :2]: class token and the first two visible patches of the second image.
LATENT = [
    1.1083772261142033, 0.19625081392228425, -1.4638472316241402,
    0.6322267476410561, 0.020194405249835925, -0.2983195631676747,
]  # fmt: skip
PREDICTION = [-0.16694423554466828, 0.2747950822952274, 0.2543249679781642]  # [1, :3, 5]
PREDICTION_MEAN_SQUARE = 0.175805190820938
GRADIENT_NORMS = {  # of the loss, by MAE's names
    'cls_token': 0.0010184137124806402,
    'patch_embed.proj.weight': 0.00629561437889312,
    'blocks.1.attn.qkv.weight': 0.0017620198143977518,
    'mask_token': 0.12662748075915084,
    'decoder_blocks.0.mlp.fc1.bias': 0.029622466727807776,
    'decoder_pred.weight': 0.21911002031080243,
}
LEAVES = ('weight', 'bias')


def shapes() -> dict[str, tuple[int, ...]]:
    """The state dict of MAE's model of that size."""
    found = {
        'cls_token': (1, 1, 32),
        'pos_embed': (1, 37, 32),
        'mask_token': (1, 1, 16),
        'decoder_pos_embed': (1, 37, 16),
        'patch_embed.proj.weight': (32, 3, 8, 8),
        'patch_embed.proj.bias': (32,),
    }
    for stem, rows, columns in (('decoder_embed', 16, 32), ('decoder_pred', 192, 16)):
        found |= {f'{stem}.weight': (rows, columns), f'{stem}.bias': (rows,)}
    for blocks, norm, width in (('blocks', 'norm', 32), ('decoder_blocks', 'decoder_norm', 16)):
        linear = [('attn.qkv', 3, 1), ('attn.proj', 1, 1), ('mlp.fc1', 4, 1), ('mlp.fc2', 1, 4)]
        for block in (f'{blocks}.0.', f'{blocks}.1.'):
            for stem, rows, columns in linear:
                found[f'{block}{stem}.weight'] = (rows * width, columns * width)
                found[f'{block}{stem}.bias'] = (rows * width,)
            found |= {f'{block}norm{i}.{leaf}': (width,) for i in '12' for leaf in LEAVES}
        found |= {f'{norm}.{leaf}': (width,) for leaf in LEAVES}
    return found


def decoder_blocks(state: dict[str, Tensor], new: str) -> dict[str, Tensor]:
    """The decoder's blocks by MMPretrain's names: the key map serves them as it does layers."""
    blocks = from_dialect(relabelled(state, 'decoder_blocks.', 'blocks.'), 'timm')
    return relabelled(blocks, 'layers.', new)


def here(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """MAE's state dict by the names of MMPretrain's MAE."""
    encoder = from_dialect(state, 'timm')
    return {
        **relabelled(encoder, '', 'backbone.'),
        **decoder_blocks(state, 'neck.decoder_blocks.'),
        **relabelled(state, 'decoder_norm.', 'neck.ln1.'),
        **relabelled(state, 'decoder_embed.', 'neck.decoder_embed.'),
        **relabelled(state, 'decoder_pred.', 'neck.decoder_pred.'),
        'neck.decoder_pos_embed': state['decoder_pos_embed'],
        'neck.mask_token': state['mask_token'],
    }


@pytest.fixture
def mae(mmpretrain_scope, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """The model of configs/mae, small, with the formula's weights and noise."""
    config = Config.fromfile(ROOT / 'configs/mae/vit_b_pretrain.py').model
    arch = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=128)
    config.backbone.update(arch=arch, img_size=48, patch_size=8)
    config.neck.update(
        num_patches=36, patch_size=8, embed_dim=32, decoder_embed_dim=16, decoder_depth=2,
        decoder_num_heads=2,
    )  # fmt: skip
    config.head.patch_size = 8
    model = MODELS.build(config).double()
    model.load_state_dict(here(fill(shapes())), strict=True)

    def noise(*shape: int, **kwargs) -> Tensor:
        assert shape == (2, 36)
        return draw('noise', shape)

    monkeypatch.setattr(torch, 'rand', noise)
    return model


def test_visible_tokens_and_their_order(mae: nn.Module) -> None:
    latent, mask, restore = mae.backbone(draw('images', (2, 3, 48, 48)))
    assert restore.argsort(dim=1)[:, :9].tolist() == KEPT
    assert [''.join(str(int(value)) for value in row) for row in mask] == MASKS
    assert latent[1, :3, :2].flatten().tolist() == pytest.approx(LATENT, rel=1e-10)


def test_prediction_and_loss(mae: nn.Module) -> None:
    images = draw('images', (2, 3, 48, 48))
    latent, mask, restore = mae.backbone(images)
    prediction = mae.neck(latent, restore)
    assert prediction[1, :3, 5].tolist() == pytest.approx(PREDICTION, rel=1e-10)
    assert prediction.square().mean().item() == pytest.approx(PREDICTION_MEAN_SQUARE, rel=1e-10)
    assert mae.head.loss(prediction, images, mask).item() == pytest.approx(LOSS, rel=1e-10)
    assert mae.loss(images, [])['loss'].item() == pytest.approx(LOSS, rel=1e-10)


def test_gradients(mae: nn.Module) -> None:
    mae.loss(draw('images', (2, 3, 48, 48)), [])['loss'].backward()
    gradients = {name: parameter.grad for name, parameter in mae.named_parameters()}
    names = {theirs: ours for ours, theirs in here({name: name for name in shapes()}).items()}
    found = {theirs: gradients[names[theirs]].norm().item() for theirs in GRADIENT_NORMS}
    assert found == pytest.approx(GRADIENT_NORMS, rel=1e-9)


def test_our_sparse_encoding_with_a_decoder_is_mae_too() -> None:
    """``MaskedViT(encoding='sparse')`` and ``PixelHead(decoder=...)``, given MAE's mask.

    The visible patches stand in ascending order there, which changes nothing: attention does
    not see the order of tokens. MAE's loss is computed in float64, ``PixelHead.loss`` in float32.
    """
    state = fill(shapes())
    arch = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=128)
    encoder = MaskedViT(arch=arch, img_size=48, patch_size=8, encoding='sparse').double()
    encoder.load_state_dict(from_dialect(state, 'timm'), strict=True)
    decoder = dict(depth=2, embed_dims=16, num_heads=2)
    head = PixelHead(32, (6, 6), patch_size=8, loss='l2', norm_pix=True, decoder=decoder).double()
    head.decoder.pos_embed.copy_(state['decoder_pos_embed'])
    head.load_state_dict({
        **decoder_blocks(state, 'decoder.blocks.'),
        **relabelled(state, 'decoder_norm.', 'decoder.norm.'),
        **relabelled(state, 'decoder_embed.', 'decoder.embed.'),
        **relabelled(state, 'decoder_pred.', 'predict.'),
        'decoder.mask_token': state['mask_token'],
    }, strict=True)  # fmt: skip
    images = draw('images', (2, 3, 48, 48))
    mask = torch.tensor([[int(value) for value in row] for row in MASKS]).bool().view(2, 6, 6)
    tokens, indices = encoder(images, mask, 9)
    assert indices.tolist() == [sorted(kept) for kept in KEPT]
    prediction = head(tokens, indices)
    assert prediction[1, :3, 5].tolist() == pytest.approx(PREDICTION, rel=1e-10)
    assert prediction.square().mean().item() == pytest.approx(PREDICTION_MEAN_SQUARE, rel=1e-10)
    assert head.loss(prediction, images, mask).item() == pytest.approx(LOSS, rel=1e-6)


def test_position_tables_start_as_maes_but_for_the_order_of_channels(mae: nn.Module) -> None:
    """MMPretrain's builder puts the row where MAE has the column: halves of the channels change
    places, which a model that is trained from random weights cannot notice. A checkpoint carries
    its own table. ``sincos_position_embedding`` is held to MAE's formula in its own test.
    """
    mae.init_weights()
    for table in (mae.backbone.pos_embed, mae.neck.decoder_pos_embed):
        width = table.shape[-1]
        exchanged = torch.cat((table[..., width // 2 :], table[..., : width // 2]), dim=-1)
        theirs = sincos_position_embedding((6, 6), width).double()
        torch.testing.assert_close(exchanged, theirs, rtol=0, atol=1e-6)
        assert not table.requires_grad
