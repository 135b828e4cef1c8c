"""Key map: the names of a plain ViT's tensors in MMPretrain, timm and HuggingFace's transformers.

Checkpoints of this project have MMPretrain's names. timm's names are also those of MAE, MoCo v3,
DeiT, DINO and iBOT; HuggingFace's files (``ViTModel``, ``ViTMAEModel``) have others and store
query, key and value as separate tensors. Import and export read the same tables.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symmim_mm.utils.errors import UserError
from symmim_mm.utils.text import listed, short


@dataclass(frozen=True)
class Dialect:
    """Another library's names of the tensors of MMPretrain's ``VisionTransformer``.

    Attributes:
        names: MMPretrain's name -> the library's, or its names of the equal parts of the tensor
            along the first dimension; without ``.weight`` and ``.bias``, ``N`` for a layer's index.
        wrappers: prefixes that all names of a checkpoint may have, in order of preference.
        not_encoder: prefixes of names that belong to a head or a decoder.
        marker: name that every checkpoint of the dialect has, and none of the dialects below it
            in ``DIALECTS``.
    """

    names: Mapping[str, str | tuple[str, ...]]
    wrappers: tuple[str, ...]
    not_encoder: tuple[str, ...]
    marker: str


# timm/models/vision_transformer.py; MAE models_mae.py and models_vit.py. Their mask token, if
# they have one, is the decoder's.
TIMM = Dialect(
    names={
        'cls_token': 'cls_token',
        'pos_embed': 'pos_embed',
        'patch_embed.projection': 'patch_embed.proj',
        'layers.N.ln1': 'blocks.N.norm1',
        'layers.N.attn.qkv': 'blocks.N.attn.qkv',
        'layers.N.attn.proj': 'blocks.N.attn.proj',
        'layers.N.ln2': 'blocks.N.norm2',
        'layers.N.ffn.layers.0.0': 'blocks.N.mlp.fc1',
        'layers.N.ffn.layers.1': 'blocks.N.mlp.fc2',
        'ln1': 'norm',
        'ln2': 'fc_norm',
    },
    # A bare ViT; DINO and iBOT; SimMIM; MoCo v3; each also from DistributedDataParallel.
    wrappers=('', 'backbone.', 'encoder.', 'base_encoder.', 'module.', 'module.backbone.',
              'module.encoder.', 'module.base_encoder.'),
    not_encoder=('head.', 'head_dist.', 'pre_logits.', 'mask_token', 'decoder_'),
    marker='patch_embed.proj.weight',
)  # fmt: skip

# transformers/models/vit and vit_mae, as ``save_pretrained`` writes them.
HF = Dialect(
    names={
        'cls_token': 'embeddings.cls_token',
        'pos_embed': 'embeddings.position_embeddings',
        'mask_token': 'embeddings.mask_token',
        'patch_embed.projection': 'embeddings.patch_embeddings.projection',
        'layers.N.ln1': 'encoder.layer.N.layernorm_before',
        'layers.N.attn.qkv': tuple(
            f'encoder.layer.N.attention.attention.{part}' for part in ('query', 'key', 'value')
        ),
        'layers.N.attn.proj': 'encoder.layer.N.attention.output.dense',
        'layers.N.ln2': 'encoder.layer.N.layernorm_after',
        'layers.N.ffn.layers.0.0': 'encoder.layer.N.intermediate.dense',
        'layers.N.ffn.layers.1': 'encoder.layer.N.output.dense',
        'ln1': 'layernorm',
        'ln2': 'pooler.layernorm',  # of BEiT
    },
    # A bare encoder; one with a head or MAE's decoder; one with a head on the mean of its patches.
    wrappers=('', 'vit.', 'beit.'),
    not_encoder=('pooler.dense.', 'classifier.', 'decoder.'),
    marker='embeddings.patch_embeddings.projection.weight',
)

# The same models in memory, since transformers 5: names of `model.state_dict()`.
HF_MODEL = replace(
    HF,
    names=HF.names
    | {
        'layers.N.ln1': 'layers.N.layernorm_before',
        'layers.N.attn.qkv': tuple(f'layers.N.attention.{part}_proj' for part in 'qkv'),
        'layers.N.attn.proj': 'layers.N.attention.o_proj',
        'layers.N.ln2': 'layers.N.layernorm_after',
        'layers.N.ffn.layers.0.0': 'layers.N.mlp.fc1',
        'layers.N.ffn.layers.1': 'layers.N.mlp.fc2',
    },
    marker='layers.0.attention.q_proj.weight',
)

MAE_DECODER = 'decoder_blocks.0.norm1.weight'
DIALECTS = {'timm': TIMM, 'hf-model': HF_MODEL, 'hf': HF}


def recognize(names: Iterable[str]) -> tuple[str, str] | None:
    """Return dialect and wrapper, such as ``('timm', 'module.base_encoder.')``, if known."""
    names = set(names)
    for name, dialect in DIALECTS.items():
        for wrapper in dialect.wrappers:
            if wrapper + dialect.marker in names:
                return name, wrapper
    return None


def to_dialect(state: Mapping[str, Tensor], dialect: str) -> dict[str, Tensor]:
    """Rename the tensors of an encoder, by MMPretrain's names, for ``'timm'`` or ``'hf'``.

    Raises:
        UserError: a tensor that the other library's ViT does not have, or that has no equal parts.
    """
    renamed: dict[str, Tensor] = {}
    unknown = []
    for name, value in state.items():
        stem, number, leaf = _parts(name)
        theirs = DIALECTS[dialect].names.get(stem, ())
        if isinstance(theirs, str):
            theirs, pieces = (theirs,), (value,)
        elif theirs and value.ndim and len(value) % len(theirs) == 0:
            pieces = value.chunk(len(theirs))
        else:
            unknown.append(name)
            continue
        for part, piece in zip(theirs, pieces, strict=True):
            renamed[part.replace('.N.', f'.{number}.') + leaf] = piece
    if unknown:
        raise UserError(f"{dialect}'s ViT has no tensor for {listed(unknown, 4)}")
    return renamed


def encoder_part(state: Mapping[str, Tensor], dialect: str, wrapper: str) -> dict[str, Tensor]:
    """Return the encoder's tensors of another library's checkpoint, without the wrapper."""
    not_encoder = DIALECTS[dialect].not_encoder
    return {
        inner: value
        for name, value in state.items()
        if name.startswith(wrapper)
        and not (inner := name.removeprefix(wrapper)).startswith(not_encoder)
    }


def from_dialect(
    state: Mapping[str, Tensor], dialect: str, wrapper: str = '', source: str = 'the checkpoint'
) -> dict[str, Tensor]:
    """Rename the encoder's tensors of another library's checkpoint; the inverse of to_dialect.

    A name that is not in the table stays as it is, and the load report lists it.

    Args:
        state: the whole checkpoint.
        dialect: one of ``DIALECTS``.
        wrapper: prefix of the encoder's names.
        source: the file, as it begins a message.

    Raises:
        UserError: the parts of a tensor are of different shapes.
    """
    ours: dict[str, tuple[str, int | None]] = {}  # and the number of the part
    for here, there in DIALECTS[dialect].names.items():
        parts = {there: None} if isinstance(there, str) else {one: i for i, one in enumerate(there)}
        ours |= {one: (here, index) for one, index in parts.items()}
    renamed: dict[str, Tensor] = {}
    pieces: dict[str, dict[int, Tensor]] = {}
    for name, value in encoder_part(state, dialect, wrapper).items():
        stem, number, leaf = _parts(name)
        if stem not in ours:
            renamed[name] = value
            continue
        here, index = ours[stem]
        here = here.replace('.N.', f'.{number}.') + leaf
        if index is None:
            renamed[here] = value
        else:
            pieces.setdefault(here, {})[index] = value
    for name, found in pieces.items():
        if name.endswith('.bias') and found.keys() == {0, 2}:
            # BEiT has no bias of the keys, and none matters: it moves all logits of a query alike.
            found[1] = torch.zeros_like(found[0])
        shapes = {tuple(value.shape) for value in found.values()}
        if len(shapes) > 1 or not shapes.pop():
            raise UserError(f'{source} has parts of {short(name)} that do not fit together')
        renamed[name] = torch.cat([found[index] for index in sorted(found)])
    return renamed


def mae_decoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the decoder of MAE's own full checkpoint by MMPretrain's names; none without one.

    Its blocks are timm's (models_mae.py).
    """
    if not {MAE_DECODER, 'mask_token'} <= state.keys():
        return {}
    found, blocks = {'neck.mask_token': state['mask_token']}, {}
    for name, value in state.items():
        if name.startswith('decoder_blocks.'):
            blocks[name.removeprefix('decoder_')] = value
        elif name.startswith('decoder_'):
            found[f'neck.{name.replace("decoder_norm", "ln1")}'] = value
    for name, value in from_dialect(blocks, 'timm').items():
        found[f'neck.{name.replace("layers", "decoder_blocks", 1)}'] = value
    return found


def _parts(name: str) -> tuple[str, str, str]:
    """Split ``layers.3.ln1.weight`` into ``('layers.N.ln1', '3', '.weight')``."""
    stem, leaf = re.fullmatch(r'(.*?)(\.weight|\.bias)?', name, re.DOTALL).groups('')
    number = re.search(r'\.(\d+)\.', stem)
    return (stem.replace(number[0], '.N.', 1), number[1], leaf) if number else (stem, '', leaf)
