"""Any bytes, names and shapes in a checkpoint: a right result, or one clear line."""

import io
import pickle
import zipfile
from argparse import Namespace
from typing import Any

import numpy as np
import pytest
import torch
from fuzzing import cases, one_line
from hypothesis import given
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer
from mmpretrain.models import VisionTransformer

from symmim_mm.checkpoint import key_map
from symmim_mm.checkpoint.backbone import backbone_state, load_backbone
from symmim_mm.checkpoint.encoder import read_encoder
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.utils.errors import UserError

pytestmark = pytest.mark.slow

ARCH = dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=8)


def vit() -> VisionTransformer:
    return VisionTransformer(arch=ARCH, img_size=16, patch_size=8, out_type='raw')


STATE = {name: value.detach().clone() for name, value in vit().state_dict().items()}
NAMES = sorted(STATE)
KINDS = [torch.float32, torch.float16, torch.int64, torch.bool, torch.complex64]
FORMS = [
    lambda value: value,
    lambda value: value.to_sparse(),
    lambda value: value.to('meta'),
    lambda value: value / 0,  # NaN
    lambda value: torch.zeros((), dtype=value.dtype).expand(value.shape),
]
TENSORS = st.builds(
    lambda shape, kind, form: form(torch.zeros(shape, dtype=kind)),
    st.lists(st.integers(0, 9), max_size=5),
    st.sampled_from(KINDS),
    st.sampled_from(FORMS),
)


@st.composite
def damaged_states(draw: Any) -> dict:
    """An encoder's tensors in any dialect, some renamed, missing or of another shape."""
    dialect = draw(st.sampled_from(['', 'timm', 'hf']))
    state = dict(STATE)
    for name in draw(st.sets(st.sampled_from(NAMES), max_size=2)):
        del state[name]
    if dialect:
        state = key_map.to_dialect(state, dialect)
    wrappers = key_map.DIALECTS[dialect].wrappers if dialect else ('backbone.',)
    wrapper = draw(st.sampled_from(wrappers))
    names = st.one_of(st.sampled_from(sorted(state) or ['x']), st.text(max_size=6))
    for name, value in draw(st.dictionaries(names, TENSORS, max_size=2)).items():
        state[name] = value
    return {wrapper + name: value for name, value in state.items()}


@cases(600)
@given(damaged_states(), st.sampled_from([None, 'state_dict', 'model', 'teacher']))
def test_loading_of_damaged_names_and_shapes(
    tmp_path_factory: pytest.TempPathFactory, state: dict, container: str | None
) -> None:
    file = tmp_path_factory.getbasetemp() / 'state.pth'
    torch.save({container: state} if container else state, file)
    target = vit()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    try:
        report = load_backbone(target, file)
    except UserError as error:
        one_line(error)
        assert all(torch.equal(before[name], value) for name, value in target.state_dict().items())
    else:
        assert set(report.loaded) | set(report.missing) == set(before)
        assert all(name.startswith('ln2.') for name in report.missing)
    try:
        encoder = read_encoder(file, heads=2)
    except UserError as error:
        return one_line(error)
    encoder.build()


KEYS = st.one_of(
    st.sampled_from(['state_dict', 'model', 'teacher', 'backbone.x', 'patch_embed.proj.weight',
                     'backbone.pos_embed', 'blocks.0.attn.qkv.weight']),
    st.text(max_size=4), st.integers(0, 3),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.text(max_size=4), st.integers(), TENSORS),
    lambda inner: st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=6,
)


@cases(500)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_key_map_of_any_checkpoint(checkpoint: dict) -> None:
    try:
        _, state = backbone_state(checkpoint)
    except UserError as error:
        return one_line(error)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    for dialect in key_map.DIALECTS:
        try:
            key_map.to_dialect(state, dialect)
        except UserError as error:
            one_line(error)


def real_checkpoint() -> dict:
    """What MMEngine's checkpoints hold."""
    weight = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    return dict(
        state_dict={'backbone.x': weight.detach(), 'n': torch.tensor(3)},
        optimizer=optimizer.state_dict(),
        message_hub=dict(log_scalars={'train/loss': history}, runtime_info={'eta': np.float64(1)}),
        meta=dict(epoch=1, dataset_meta=dict(classes=('a', 'b')), arguments=Namespace(lr=0.1)),
    )


def _saved(**options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(real_checkpoint(), buffer, **options)
    return buffer.getvalue()


ZIP, LEGACY = _saved(), _saved(_use_new_zipfile_serialization=False)
with zipfile.ZipFile(io.BytesIO(ZIP)) as _archive:
    MEMBERS = {name: _archive.read(name) for name in _archive.namelist()}
PICKLE = next(name for name in MEMBERS if name.endswith('data.pkl'))
OPCODES = [getattr(pickle, name)[0] for name in pickle.__all__ if name.isupper()
           and isinstance(getattr(pickle, name), bytes)]  # fmt: skip


@st.composite
def damages(draw: Any, data: bytes) -> bytes:
    """Bytes changed, cut off, taken out, doubled or put in, opcodes of pickles among them."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(len(found) - 1, 0)))
        how = draw(st.sampled_from(['flip', 'opcode', 'cut', 'remove', 'double', 'insert']))
        end = start + draw(st.integers(1, 20))
        if how in ('flip', 'opcode') and found:
            values = st.integers(0, 255) if how == 'flip' else st.sampled_from(OPCODES)
            found[start] = draw(values)
        elif how == 'cut' and draw(st.integers(0, 3)) == 0:
            del found[start:]
        elif how == 'remove':
            del found[start:end]
        elif how == 'double':
            found[start:start] = found[start:end]
        elif how == 'insert':
            found[start:start] = draw(st.binary(max_size=8))
    return bytes(found)


@st.composite
def checkpoint_bytes(draw: Any) -> bytes:
    kind = draw(st.sampled_from(['any', 'zip', 'legacy', 'pickle', 'pickle']))
    if kind == 'any':
        return draw(st.binary(max_size=200))
    if kind in ('zip', 'legacy'):
        return draw(damages(ZIP if kind == 'zip' else LEGACY))
    # The archive is whole, the pickle inside is not.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, draw(damages(content)) if name == PICKLE else content)
    return buffer.getvalue()


@cases(1500)
@given(checkpoint_bytes(), st.sampled_from(['pth', 'pth', 'pth', 'safetensors']))
def test_checkpoint_of_damaged_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    file = tmp_path_factory.getbasetemp() / f'damaged.{suffix}'
    file.write_bytes(content)
    try:
        checkpoint = read_checkpoint(file)
    except UserError as error:
        one_line(error)
        assert file.name in str(error)
        return
    assert isinstance(checkpoint, dict)
