"""Tensors of a file that are no weights: every reader refuses them in one line."""

import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from tiny_models import backbone_weights, vit
from torch import Tensor

from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.encoder import read_encoder
from symmim_mm.checkpoint.key_map import to_dialect
from symmim_mm.checkpoint.read import read_model_state
from symmim_mm.checkpoint.weights import FLOATS, check_weights
from symmim_mm.utils.errors import UserError

WEIGHT = 'layers.1.ffn.layers.1.weight'


READERS = {
    'load_backbone': lambda path: load_backbone(vit(), path),
    'read_encoder': lambda path: read_encoder(path, heads=4),
    'read_model_state': read_model_state,
}
ENCODER_READERS = ('load_backbone', 'read_encoder')


def with_value(value: Tensor, bad: float) -> Tensor:
    value.view(-1)[7] = bad
    return value


NOT_PLAIN = {
    'nested': (lambda w: torch.nested.nested_tensor([w, w[:3]]), 'is a nested tensor'),
    'sparse': (lambda w: w.to_sparse(), r'is a sparse tensor \(torch.sparse_coo\)'),
    'csr': (lambda w: w.to_sparse_csr(), r'is a sparse tensor \(torch.sparse_csr\)'),
    'quantized': (
        lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8),
        r'is quantized \(torch.qint8\)',
    ),
    'complex': (lambda w: w + 1j, r'holds complex numbers \(torch.complex64\)'),
    'meta': (lambda w: w.to('meta'), r'has no data \(device meta\)'),
}
NO_WEIGHTS = {
    'bool': (lambda w: w > 0, 'is of torch.bool, not of floating point'),
    'integer': (lambda w: w.long(), 'is of torch.int64, not of floating point'),
    'float8': (lambda w: w.to(torch.float8_e4m3fn), 'is of torch.float8_e4m3fn, not of floating'),
    'empty': (lambda w: w[:, :0], r'of shape \(32, 0\) is empty'),
    'expanded': (lambda w: w[:1, :1].clone().expand(w.shape), 'is larger than its data'),
    '5 TB': (lambda w: torch.zeros(1).expand(1 << 20, 1 << 20), 'is larger than its data'),
    'NaN': (lambda w: with_value(w, float('nan')), 'holds NaN, Inf'),
    'Inf': (lambda w: with_value(w.half(), float('inf')), 'holds NaN, Inf'),
    '-Inf': (lambda w: with_value(w.bfloat16(), float('-inf')), 'holds NaN, Inf'),
    'beyond float32': (lambda w: with_value(w.double(), 1e300), 'numbers beyond float32'),
}


def refused(reader: str, file: Path, words: str) -> None:
    if 'nested' in words:  # PyTorch 2.15 no longer reads them
        words = f'{words}|would run torch._utils._rebuild_nested_tensor'
    with pytest.raises(UserError, match=words) as error:
        READERS[reader](file)
    text = str(error.value)
    assert text.startswith(f'checkpoint {file}')
    assert len(text.splitlines()) == 1 and len(text) < 1000


def saved(file: Path, state: dict, name: str, make: Callable[[Tensor], Tensor]) -> Path:
    """A checkpoint of which one tensor is made into another one."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch about nested and sparse tensors being new
        state = {**state, name: make(state[name].detach().clone())}
        torch.save(dict(state_dict=state), file)
    return file


@pytest.mark.parametrize(
    ('reader', 'kind'),
    [
        *product(ENCODER_READERS, NOT_PLAIN | NO_WEIGHTS),
        *(('read_model_state', kind) for kind in NOT_PLAIN),  # of which a part may be anything else
    ],
)
def test_tensors_that_are_no_weights(reader: str, kind: str, tmp_path: Path) -> None:
    make, words = (NOT_PLAIN | NO_WEIGHTS)[kind]
    file = saved(tmp_path / 'x.pth', backbone_weights(vit()), f'backbone.{WEIGHT}', make)
    refused(reader, file, f'{WEIGHT} .*{words}')


@pytest.mark.parametrize('reader', ENCODER_READERS)
@pytest.mark.parametrize('kind', ['nested', 'csr', 'meta', 'expanded', 'NaN'])
def test_parts_of_a_joined_tensor(kind: str, reader: str, tmp_path: Path) -> None:
    """HuggingFace's query, key and value become one tensor: none of them may end that."""
    name = 'encoder.layer.0.attention.attention.key.weight'
    make, words = (NOT_PLAIN | NO_WEIGHTS)[kind]
    state = {f'vit.{key}': value for key, value in to_dialect(vit().state_dict(), 'hf').items()}
    file = saved(tmp_path / 'x.pth', state, f'vit.{name}', make)
    refused(reader, file, f'{name} .*{words}')


@pytest.mark.parametrize('reader', ENCODER_READERS)
@pytest.mark.parametrize('kind', ['NaN', '-Inf', 'bool', 'complex', 'float8', 'empty'])
def test_safetensors(kind: str, reader: str, tmp_path: Path) -> None:
    make, words = (NOT_PLAIN | NO_WEIGHTS)[kind]
    state = to_dialect(vit().state_dict(), 'timm')
    name = 'blocks.1.mlp.fc2.weight'
    save_file(state | {name: make(state[name].clone()).contiguous()}, tmp_path / 'x.safetensors')
    refused(reader, tmp_path / 'x.safetensors', f'{name} .*{words}')


@pytest.mark.parametrize('shape', [(), (8,), (16, 32)])
@pytest.mark.parametrize('reader', ENCODER_READERS)
def test_parts_that_do_not_fit_together(shape: tuple, reader: str, tmp_path: Path) -> None:
    name = 'encoder.layer.0.attention.attention.key.weight'
    state = to_dialect(vit().state_dict(), 'hf')
    file = saved(tmp_path / 'x.pth', state, name, lambda _: torch.zeros(shape))
    refused(reader, file, r'parts of layers.0.attn.qkv.weight that do not fit')


def test_heads_and_decoders_may_hold_anything(tmp_path: Path) -> None:
    extra = {'head.count': torch.tensor(3), 'head.weight': torch.full((2,), float('nan'))}
    torch.save(dict(state_dict=backbone_weights(vit()) | extra), tmp_path / 'x.pth')
    load_backbone(vit(), tmp_path / 'x.pth')
    state = to_dialect(vit().state_dict(), 'timm')
    torch.save(dict(model=state | {'head.weight': extra['head.weight']}), tmp_path / 'y.pth')
    load_backbone(vit(), tmp_path / 'y.pth')


@pytest.mark.parametrize('dtype', FLOATS, ids=str)
def test_every_kind_of_float_is_taken(dtype: torch.dtype, tmp_path: Path) -> None:
    source, target = vit(), vit()
    state = {key: value.to(dtype) for key, value in backbone_weights(source).items()}
    torch.save(dict(state_dict=state), tmp_path / 'x.pth')
    load_backbone(target, tmp_path / 'x.pth')
    expected = state[f'backbone.{WEIGHT}'].float()
    assert torch.equal(target.state_dict()[WEIGHT], expected)
    assert read_encoder(tmp_path / 'x.pth', heads=4).state[WEIGHT].dtype == dtype


@given(
    st.sampled_from(FLOATS),
    st.lists(st.floats(width=16, allow_nan=True, allow_infinity=True), min_size=1, max_size=70),
)
def test_finite_is_what_torch_calls_finite(dtype: torch.dtype, numbers: list[float]) -> None:
    value = torch.tensor(numbers, dtype=dtype)
    if torch.isfinite(value).all():
        check_weights({'w': value}, 'file')
    else:
        with pytest.raises(UserError, match='file: w holds NaN, Inf'):
            check_weights({'w': value}, 'file')


@pytest.mark.parametrize(
    ('name', 'shape'),
    [
        ('pos_embed', ()), ('pos_embed', (17,)), ('pos_embed', (17, 32)), ('pos_embed', (1, 1, 32)),
        ('layers.0.ffn.layers.0.0.weight', ()), ('layers.0.ffn.layers.0.0.weight', (64,)),
        ('patch_embed.projection.weight', (32, 3, 0, 0)),
        ('patch_embed.projection.weight', (0, 3, 8, 8)),
        ('patch_embed.projection.weight', (1 << 40, 0, 8, 8)),
        ('patch_embed.projection.weight', (32, 3, 8, 4)),
    ],
)  # fmt: skip
@pytest.mark.parametrize('reader', ENCODER_READERS)
def test_shapes_that_do_not_belong_together(
    name: str, shape: tuple, reader: str, tmp_path: Path
) -> None:
    file = saved(
        tmp_path / 'x.pth',
        backbone_weights(vit()),
        f'backbone.{name}',
        lambda _: torch.zeros(shape),
    )
    refused(reader, file, 'checkpoint')


@pytest.mark.parametrize(
    'checkpoint',
    [
        {}, dict(state_dict=None), dict(state_dict=[torch.zeros(1)]), dict(state_dict={}),
        dict(state_dict={1: torch.zeros(1)}), dict(state_dict={'a': [1.0]}),
        dict(state_dict=torch.zeros(1)), {'backbone.x': torch.zeros(1)},
    ],
    ids=['none', 'None', 'list', 'empty', 'numbers', 'no tensors', 'tensor', 'bare'],
)  # fmt: skip
def test_a_whole_model_has_tensors_by_name(checkpoint: dict, tmp_path: Path) -> None:
    torch.save(checkpoint, tmp_path / 'x.pth')
    refused('read_model_state', tmp_path / 'x.pth', "no tensors by name under 'state_dict'")


@pytest.mark.parametrize('reader', ENCODER_READERS)
def test_names_of_no_known_library(reader: str, tmp_path: Path) -> None:
    torch.save({'trunk.stem.weight': torch.zeros(1), 'fc.bias': torch.zeros(1)}, tmp_path / 'x.pth')
    start = r"has no 'backbone.' entries \(it starts with fc, trunk\)"
    way = "checkpoint of a pre-training, .* or one with timm's or HuggingFace's names"
    refused(reader, tmp_path / 'x.pth', f'{start}: take the {way}')


@pytest.mark.parametrize('size', [(32, 64), (16, 64)])
def test_images_that_are_not_square(size: tuple[int, int], tmp_path: Path) -> None:
    """The second has 16 patches, as has a square of 4 by 4: its config says which."""
    meta = dict(cfg=f'model = dict(backbone=dict(img_size={size}, patch_size=8))')
    state = backbone_weights(vit(img_size=size))
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'x.pth')
    refused('read_encoder', tmp_path / 'x.pth', 'not square .* a config of the same img_size')
    assert not load_backbone(vit(img_size=size), tmp_path / 'x.pth').resized


@pytest.mark.parametrize('name', ['\ud800', 'a\nb\x1b[2J', 'x' * 1_000_000, '\ud800' * 1_000_000])
@pytest.mark.parametrize('reader', ENCODER_READERS)
def test_names_are_shown_short_and_visible(name: str, reader: str, tmp_path: Path) -> None:
    file = tmp_path / 'x.pth'
    for state in (
        {name: torch.zeros(1)},
        backbone_weights(vit()) | {f'backbone.{name}': torch.zeros(1)},
        backbone_weights(vit()) | {f'backbone.{name}': torch.tensor(True)},
        to_dialect(vit().state_dict(), 'timm') | {name: torch.zeros(1)},
    ):
        torch.save(dict(state_dict=state), file)
        with pytest.raises(UserError) as error:
            READERS[reader](file)
        assert len(str(error.value)) < 1000 and str(error.value).isprintable()


def test_a_report_is_short_and_visible(tmp_path: Path) -> None:
    many = {f'backbone.mask_token{i}\ud800' + 'x' * 10_000: torch.zeros(1) for i in range(100)}
    torch.save(dict(state_dict=backbone_weights(vit()) | many), tmp_path / 'x.pth')
    report = load_backbone(vit(), tmp_path / 'x.pth')
    assert len(report.unexpected) == 100
    assert '100 unexpected and not used' in str(report) and ' and 92 more' in str(report)
    assert len(str(report)) < 2000 and str(report).isprintable()
