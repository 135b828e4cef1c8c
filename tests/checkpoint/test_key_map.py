"""The key map: both ways for every name, and foreign checkpoints through the one loading door."""

from argparse import Namespace
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmpretrain.models import MAEPretrainDecoder
from safetensors.torch import save_file
from tiny_models import POOLED, TINY, vit
from torch import Tensor, nn

from symmim_mm.apis.own_data.backbone import decoder_sizes
from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.key_map import DIALECTS, from_dialect, recognize, to_dialect
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.engine.hooks.model_hooks import load_fitting_parts
from symmim_mm.utils.errors import UserError

NORM = partial(nn.LayerNorm, eps=1e-6)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@st.composite
def encoder_states(draw, dialect: str) -> dict[str, Tensor]:
    """Any subset of the tensors that both sides can have, in any order."""
    names = [f'{name}{leaf}' for name in DIALECTS[dialect].names for leaf in ('.weight', '.bias')]
    layers = draw(st.sets(st.integers(0, 47), max_size=3))
    names = {'cls_token', *(name.replace('N', str(n)) for name in names for n in layers or {0})}
    chosen = draw(st.lists(st.sampled_from(sorted(names)), unique=True))
    return {
        name: torch.randn(3 * draw(st.integers(1, 3)), draw(st.integers(1, 3))) for name in chosen
    }


@pytest.mark.parametrize('dialect', DIALECTS)
@given(data=st.data())
def test_there_and_back_is_the_identity(dialect: str, data: st.DataObject) -> None:
    state = data.draw(encoder_states(dialect))
    wrapper = data.draw(st.sampled_from(DIALECTS[dialect].wrappers))
    foreign = {wrapper + name: value for name, value in to_dialect(state, dialect).items()}
    assert equal(from_dialect(foreign, dialect, wrapper), state)


def test_query_key_and_value_stand_in_this_order() -> None:
    joined = torch.arange(6.0)
    named = to_dialect({'layers.4.attn.qkv.bias': joined}, 'hf')
    stem = 'encoder.layer.4.attention.attention'
    assert {name: value.tolist() for name, value in named.items()} == {
        f'{stem}.query.bias': [0, 1], f'{stem}.key.bias': [2, 3], f'{stem}.value.bias': [4, 5]
    }  # fmt: skip
    shuffled = dict(reversed(named.items()))
    assert torch.equal(from_dialect(shuffled, 'hf')['layers.4.attn.qkv.bias'], joined)


@pytest.mark.parametrize(
    ('dialect', 'name'),
    [('timm', 'mask_token'), ('hf', 'gamma.weight'), ('timm', 'layers.0.attn.gamma1.weight')],
)
def test_a_tensor_without_a_counterpart_is_named(dialect: str, name: str) -> None:
    with pytest.raises(UserError, match=f'no tensor for {name}'):
        to_dialect({name: torch.zeros(3)}, dialect)


def test_names_that_transformers_gives_a_model_in_memory(tmp_path: Path) -> None:
    """transformers 5.24.0, ``ViTModel(config).state_dict()``, one layer without the pooler."""
    model = vit(arch=TINY | dict(num_layers=1))
    layer = {
        'layernorm_before', 'layernorm_after', 'mlp.fc1', 'mlp.fc2',
        *(f'attention.{part}_proj' for part in 'qkvo'),
    }  # fmt: skip
    stems = {f'layers.0.{stem}' for stem in layer}
    stems |= {'embeddings.patch_embeddings.projection', 'layernorm'}
    names = {f'{stem}.{leaf}' for stem in stems for leaf in ('weight', 'bias')}
    names |= {'embeddings.cls_token', 'embeddings.position_embeddings'}
    named = to_dialect(model.state_dict(), 'hf-model')
    assert set(named) == names
    torch.save({f'vit.{name}': value for name, value in named.items()}, tmp_path / 'x.pth')
    target = vit(arch=TINY | dict(num_layers=1))
    assert load_backbone(target, tmp_path / 'x.pth').dialect == 'hf-model'
    assert equal(target.state_dict(), model.state_dict())


@pytest.mark.parametrize(
    ('config', 'remark'),
    [
        ('{"layer_norm_eps": 1e-12}', 'its layer_norm_eps is 1e-12, that of this model 1e-06'),
        ('{"layer_norm_eps": 1e-6}', ''),
        ('{"layer_norm_eps": "x"}', ''),
        ('[', ''),
    ],
)
def test_another_epsilon_is_named(tmp_path: Path, config: str, remark: str) -> None:
    model = vit()
    save_file(to_dialect(model.state_dict(), 'hf'), tmp_path / 'model.safetensors')
    (tmp_path / 'config.json').write_text(config)
    report = load_backbone(model, tmp_path / 'model.safetensors')
    assert str(report).endswith(remark or 'unexpected and not used')


def test_our_own_and_unknown_names_are_of_no_dialect() -> None:
    assert recognize(f'backbone.{name}' for name in vit().state_dict()) is None
    assert recognize(['encoder.patch_embed.weight', 'head.weight']) is None


def mae_checkpoint(state: dict[str, Tensor]) -> dict:
    """As MAE's main_pretrain.py saves it (util/misc.py): decoder, command line and all."""
    decoder = {
        'mask_token': torch.zeros(1, 1, 16),
        'decoder_embed.weight': torch.zeros(16, 32),
        'decoder_blocks.0.norm1.weight': torch.zeros(16),
        'decoder_pred.bias': torch.zeros(192),
    }
    args = Namespace(batch_size=64, norm_pix_loss=True)
    return dict(model={**to_dialect(state, 'timm'), **decoder}, args=args, epoch=3)


def moco_v3_checkpoint(state: dict[str, Tensor]) -> dict:
    """As main_moco.py saves it: two encoders, a projector instead of the head."""
    online = {f'module.base_encoder.{k}': v for k, v in to_dialect(state, 'timm').items()}
    momentum = {k.replace('base', 'momentum'): v + 1 for k, v in online.items()}
    extra = {
        'module.base_encoder.head.0.weight': torch.zeros(8, 32),
        'module.predictor.0.weight': torch.zeros(8, 8),
    }
    return dict(state_dict={**momentum, **online, **extra}, arch='vit_small')


def dino_checkpoint(state: dict[str, Tensor]) -> dict:
    """As DINO and iBOT save them: the teacher's tensors have our prefix and timm's names."""
    teacher = {f'backbone.{k}': v for k, v in to_dialect(state, 'timm').items()}
    return dict(teacher={**teacher, 'head.mlp.0.weight': torch.zeros(4, 32)}, epoch=1)


FOREIGN = [mae_checkpoint, moco_v3_checkpoint, dino_checkpoint]


@pytest.mark.parametrize('make', FOREIGN, ids=lambda make: make.__name__)
def test_foreign_checkpoints_load_to_the_last_tensor(make, tmp_path: Path) -> None:
    source, target = vit(), vit()
    torch.save(make(source.state_dict()), tmp_path / 'foreign.pth')
    report = load_backbone(target, tmp_path / 'foreign.pth')
    assert equal(target.state_dict(), source.state_dict())
    assert report.dialect == 'timm'
    assert 'foreign.pth (names of timm): ' in str(report)
    assert len(report.loaded) == len(source.state_dict())
    assert not report.missing and not report.unexpected and not report.resized


@pytest.mark.parametrize('wrapper', DIALECTS['hf'].wrappers)
def test_a_huggingface_file_loads(wrapper: str, tmp_path: Path) -> None:
    source, target = vit(), vit(img_size=64)
    state = {wrapper + k: v.contiguous() for k, v in to_dialect(source.state_dict(), 'hf').items()}
    state[f'{wrapper}pooler.dense.weight'] = torch.zeros(32, 32)
    state['classifier.weight'] = torch.zeros(2, 32)
    save_file(state, tmp_path / 'model.safetensors')
    report = load_backbone(target, tmp_path / 'model.safetensors')
    assert report.dialect == 'hf'
    assert report.resized == ['pos_embed 17 -> 65 positions']
    assert torch.equal(target.layers[1].attn.qkv.weight, source.layers[1].attn.qkv.weight)
    assert not report.missing and not report.unexpected


def test_a_fine_tuned_timm_model_keeps_its_norm_after_the_pooling(tmp_path: Path) -> None:
    source = vit(**POOLED)
    state = to_dialect(source.state_dict(), 'timm') | {'head.weight': torch.zeros(2, 32)}
    torch.save(state, tmp_path / 'x.pth')
    target = vit(**POOLED)
    load_backbone(target, tmp_path / 'x.pth')
    assert equal(target.state_dict(), source.state_dict())


@pytest.mark.parametrize(
    ('name', 'shape'),
    [('blocks.0.attn.q_bias', (32,)), ('rel_pos_bias.relative_position_bias_table', (9, 4))],
)
def test_parts_that_this_vit_does_not_have_fail(name: str, shape, tmp_path: Path) -> None:
    """SimMIM's and BEiT's own checkpoints have relative positions: they cannot be loaded."""
    state = {f'encoder.{k}': v for k, v in to_dialect(vit().state_dict(), 'timm').items()}
    torch.save(dict(model={**state, f'encoder.{name}': torch.zeros(shape)}), tmp_path / 'x.pth')
    with pytest.raises(UserError, match=f'{name} unexpected'):
        load_backbone(vit(), tmp_path / 'x.pth')


def test_half_of_a_joined_tensor_fails(tmp_path: Path) -> None:
    state = to_dialect(vit().state_dict(), 'hf')
    del state['encoder.layer.1.attention.attention.value.weight']
    torch.save(state, tmp_path / 'x.pth')
    with pytest.raises(UserError, match=r'layers.1.attn.qkv.weight \(64, 32\) instead of'):
        load_backbone(vit(), tmp_path / 'x.pth')


def test_a_damaged_safetensors_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / 'x.safetensors'
    save_file(to_dialect(vit().state_dict(), 'timm'), file)
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(UserError, match='x.safetensors is not a safetensors file or is damaged'):
        load_backbone(vit(), file)


def mae_full(width: int = 64, layers: int = 2) -> tuple[dict, nn.ModuleDict]:
    """A full file with the names of models_mae.py, and the decoder in it."""
    from timm.models.vision_transformer import Block

    decoder = nn.ModuleDict({
        'decoder_embed': nn.Linear(32, width),
        'decoder_blocks': nn.Sequential(
            *(Block(width, width // 32, qkv_bias=True, norm_layer=NORM) for _ in range(layers))
        ),
        'decoder_norm': NORM(width),
        'decoder_pred': nn.Linear(width, 8 * 8 * 3),
    })  # fmt: skip
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.2)
    tokens = dict(mask_token=torch.randn(1, 1, width), decoder_pos_embed=torch.randn(1, 17, width))
    state = to_dialect(vit().state_dict(), 'timm') | decoder.state_dict() | tokens
    return dict(model=state, args=Namespace(norm_pix_loss=True), epoch=799), decoder


@torch.no_grad()
def test_the_decoder_of_a_full_mae_file_computes_the_same(tmp_path: Path) -> None:
    """As forward_decoder of models_mae.py; positions of another image size are resized."""
    whole, decoder = mae_full()
    torch.save(whole, tmp_path / 'full.pth')
    assert decoder_sizes(tmp_path / 'full.pth') == (64, 2, 2)
    sizes = dict(embed_dim=32, decoder_embed_dim=64, decoder_depth=2, decoder_num_heads=2)
    model = nn.Module()
    model.neck = MAEPretrainDecoder(num_patches=16, patch_size=8, **sizes)
    assert load_fitting_parts(model, read_checkpoint(tmp_path / 'full.pth')) == ['neck']
    visible, order = torch.randn(2, 5, 32), torch.stack([torch.randperm(16) for _ in range(2)])
    state = whole['model']
    filled = state['mask_token'].repeat(2, 16, 1)
    tokens = decoder['decoder_embed'](visible)
    for image, kept in enumerate(order.argsort()[:, :4]):
        filled[image, kept] = tokens[image, 1:]
    x = torch.cat([tokens[:, :1], filled], dim=1) + state['decoder_pos_embed']
    x = decoder['decoder_pred'](decoder['decoder_norm'](decoder['decoder_blocks'](x)))[:, 1:]
    assert torch.allclose(model.neck(visible, order), x, atol=1e-5)

    model.neck = MAEPretrainDecoder(num_patches=64, patch_size=8, **sizes)
    assert load_fitting_parts(model, whole) == ['neck']
    # Of images of other channels the layer that predicts them stays as it was, and is named.
    model.neck = MAEPretrainDecoder(num_patches=16, patch_size=8, in_chans=5, **sizes)
    random = model.neck.decoder_pred.weight.clone()
    (name,) = load_fitting_parts(model, whole)
    assert name == 'neck (but decoder_pred.bias, decoder_pred.weight, left as initialized)'
    assert torch.equal(model.neck.decoder_pred.weight, random)
    assert torch.equal(model.neck.mask_token, state['mask_token'])
    for other in (dict(decoder_embed_dim=32), dict(decoder_depth=1)):
        model.neck = MAEPretrainDecoder(num_patches=16, patch_size=8, **(sizes | other))
        assert load_fitting_parts(model, whole) == []
