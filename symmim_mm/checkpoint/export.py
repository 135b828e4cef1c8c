"""Export of a pre-trained backbone to timm, HuggingFace's transformers or ONNX."""

import json
import os
import shutil
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from mmpretrain.models import VisionTransformer
from safetensors.torch import save
from torch import Tensor

from symmim_mm.checkpoint.encoder import Encoder, read_encoder
from symmim_mm.checkpoint.key_map import to_dialect
from symmim_mm.utils.errors import UserError

ONNX_NEEDS = ('onnx', 'onnxscript')
ONNX_LIMIT = 2**31  # bytes of one protobuf message


def export_backbone(
    checkpoint: str | Path,
    format_name: str,
    out: str | Path,
    heads: int | None = None,
    branch: str = 'online',
) -> str:
    """Write a backbone in the format of another library.

    Args:
        checkpoint: see :func:`read_encoder`, as for ``heads`` and ``branch``.
        format_name: ``'timm'``: a ``.safetensors`` file; ``'hf'``: a folder with ``config.json``
            and ``model.safetensors``; ``'onnx'``: an ``.onnx`` file, normalized images
            ``(batch, 3, H, W)`` to tokens ``(batch, 1 + n, C)``, or to pooled features
            ``(batch, C)`` after fine-tuning.
        out: path to write; must not exist, and appears only when it is complete.
        heads: as there.
        branch: as there.

    Returns:
        One line: the model, and how to load it.

    Raises:
        UserError: an unknown format, an ``out`` that exists, has another suffix or cannot be
            written, a checkpoint that cannot be exported, or ``onnx`` is not installed.
    """
    if format_name not in FORMATS:
        raise UserError(f"format must be one of {', '.join(FORMATS)}, got '{format_name}'")
    write, suffix = FORMATS[format_name]
    out = Path(out)
    if not out.name.endswith(suffix):
        raise UserError(f'format {format_name} is written as {suffix}: {out} has another suffix')
    if os.path.lexists(out):
        raise UserError(f'{out} exists: name another path or remove it')
    if os.path.lexists(out.parent) and not out.parent.is_dir():
        raise UserError(f'cannot write {out}: {out.parent} is not a folder')
    if format_name == 'onnx' and (missing := [name for name in ONNX_NEEDS if not find_spec(name)]):
        raise UserError(f'format onnx needs the package {missing[0]}: pip install {missing[0]}')
    encoder = read_encoder(checkpoint, heads, branch)
    parts = out.with_name(f'.{out.name}.part')
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(parts, ignore_errors=True)  # what a killed export may have left
        parts.mkdir()
        usage = write(encoder, parts / out.name)
        os.rename(parts / out.name, out)
    except OSError as error:
        raise UserError(f'cannot write {out}: {error.strerror or error}') from error
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    return f'{encoder}: {usage}'


def _write_tensors(state: dict[str, Tensor], file: Path, metadata: dict[str, str]) -> None:
    # safetensors' own save_file makes files that only their owner can read.
    # It refuses tensors that share memory, as those of some checkpoints do: each gets its own.
    copies = {
        key: value.clone(memory_format=torch.contiguous_format) for key, value in state.items()
    }
    file.write_bytes(save(copies, metadata))


def _write_timm(encoder: Encoder, part: Path) -> str:
    arguments = dict(  # the weights fit this model exactly
        model_name='vit_base_patch16_224',  # the class; all sizes follow
        embed_dim=encoder.width,
        depth=encoder.layers,
        num_heads=encoder.heads,
        mlp_ratio=encoder.hidden / encoder.width,
        img_size=encoder.image,
        patch_size=encoder.patch,
        in_chans=encoder.channels,
        num_classes=0,
        global_pool='avg' if encoder.pooled else 'token',
    )
    metadata = dict(format='pt', timm=json.dumps(arguments))
    _write_tensors(to_dialect(encoder.state, 'timm'), part, metadata)
    call = ', '.join(f'{key}={value!r}' for key, value in arguments.items())
    return f'for timm.create_model({call})'


def _write_hf(encoder: Encoder, part: Path) -> str:
    if encoder.pooled:
        raise UserError(
            f"{encoder.source} has its norm after the mean of the tokens, which HuggingFace's "
            'ViT cannot have: export the pre-training, or use --format timm'
        )
    config = dict(  # of transformers' ViTModel, whose default epsilon is another
        architectures=['ViTModel'],
        model_type='vit',
        hidden_size=encoder.width,
        num_hidden_layers=encoder.layers,
        num_attention_heads=encoder.heads,
        intermediate_size=encoder.hidden,
        hidden_act='gelu',
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.02,
        layer_norm_eps=1e-6,
        image_size=encoder.image,
        patch_size=encoder.patch,
        num_channels=encoder.channels,
        qkv_bias=True,
        encoder_stride=encoder.patch,
    )
    part.mkdir()
    (part / 'config.json').write_text(json.dumps(config, indent=2, sort_keys=True) + '\n')
    state = to_dialect(encoder.state, 'hf')
    _write_tensors(state, part / 'model.safetensors', dict(format='pt'))
    return 'for transformers.ViTModel.from_pretrained(FOLDER, add_pooling_layer=False)'


def _write_onnx(encoder: Encoder, part: Path) -> str:
    import onnx

    size = sum(value.numel() for value in encoder.state.values()) * 4  # float32
    if size >= ONNX_LIMIT:
        raise UserError(f'{encoder.source} is too large for one ONNX file: {size / 2**30:.1f} GiB')
    model = encoder.build()
    images = torch.randn(2, encoder.channels, encoder.image, encoder.image)
    output = 'features' if encoder.pooled else 'tokens'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch's exporter warns about torch itself
        program = torch.onnx.export(
            model,
            (images,),
            input_names=['images'],
            output_names=[output],
            dynamic_shapes=({0: torch.export.Dim('batch')},),
            dynamo=True,
            verbose=False,
        )
    proto = program.model_proto
    for node in proto.graph.node:
        node.ClearField('metadata_props')  # they hold paths of this machine
    onnx.checker.check_model(proto, full_check=True)
    data = proto.SerializeToString()
    checked = 'checked with onnx'
    if find_spec('onnxruntime'):
        checked = f'{checked} and onnxruntime (largest difference {_difference(model, data):.1e})'
    part.write_bytes(data)
    shape = f'(batch, {encoder.channels}, {encoder.image}, {encoder.image})'
    return f'normalized images {shape} to {output}, {checked}'


def _difference(model: VisionTransformer, onnx_model: bytes) -> float:
    """Return the largest difference between PyTorch's and onnxruntime's output for three images.

    Raises:
        RuntimeError: it is larger than rounding errors.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx_model, providers=['CPUExecutionProvider'])
    images = torch.randn(3, model.patch_embed.projection.in_channels, *model.img_size)
    with torch.no_grad():
        expected = model(images)[0]
    found = torch.from_numpy(session.run(None, {'images': images.numpy()})[0])
    difference = (found - expected).abs().max().item()
    if not difference <= 1e-3 * max(1.0, expected.abs().max().item()):
        raise RuntimeError(
            f'onnxruntime and PyTorch give different features, by up to {difference}'
        )
    return difference


# The function that writes each format, and the suffix of its output.
FORMATS: dict[str, tuple[Callable[[Encoder, Path], str], str]] = {
    'timm': (_write_timm, '.safetensors'),
    'hf': (_write_hf, ''),
    'onnx': (_write_onnx, '.onnx'),
}
