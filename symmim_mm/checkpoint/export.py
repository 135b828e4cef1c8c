"""Export of a pre-trained backbone to timm, HuggingFace's transformers or ONNX."""

import json
import math
import os
import shutil
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from symmim_mm.checkpoint.encoder import Encoder, encoder_of
from symmim_mm.checkpoint.export_hf import write_hf, write_hf_mae
from symmim_mm.checkpoint.heads import read_classifier
from symmim_mm.checkpoint.key_map import to_dialect
from symmim_mm.checkpoint.read import read_checkpoint
from symmim_mm.checkpoint.weights import write_tensors
from symmim_mm.utils.errors import UserError

ONNX_NEEDS = ('onnx', 'onnxscript')
ONNX_LIMIT = 2**31  # bytes of one protobuf message


def export_backbone(
    checkpoint: str | Path,
    format_name: str,
    out: str | Path,
    heads: int | None = None,
    branch: str = 'online',
    raw_images: bool = False,
    card: str = '',
) -> str:
    """Write a backbone in the format of another library.

    Args:
        checkpoint: see :func:`read_encoder`, as for ``heads`` and ``branch``.
        format_name: ``'timm'``: a folder for ``timm.create_model('local-dir:...')``, or its weights
            alone where ``out`` ends in ``.safetensors``; ``'hf'``: a folder for transformers, with
            the classifier of a fine-tuning; ``'hf-mae'``: one with the decoder of a pre-training;
            ``'onnx'``: an ``.onnx`` file, normalized images ``(batch, 3, H, W)`` to tokens
            ``(batch, 1 + n, C)``, or to pooled features ``(batch, C)`` after fine-tuning.
        out: path to write; must not exist, and appears only when it is complete.
        heads: as there.
        branch: as there.
        raw_images: ONNX takes RGB images in [0, 255] and normalizes them itself, as in training.
        card: text of the ``README.md`` in a folder.

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
    if out.suffix not in ('', suffix) if format_name == 'timm' else not out.name.endswith(suffix):
        raise UserError(f'format {format_name} is written as {suffix}: {out} has another suffix')
    if raw_images and format_name != 'onnx':
        raise UserError('--raw-images belongs to --format onnx')
    if branch != 'online' and format_name == 'hf-mae':
        raise UserError("--format hf-mae: the decoder is the online encoder's: leave out --branch")
    if os.path.lexists(out):
        raise UserError(f'{out} exists: name another path or remove it')
    if os.path.lexists(out.parent) and not out.parent.is_dir():
        raise UserError(f'cannot write {out}: {out.parent} is not a folder')
    if format_name == 'onnx' and (missing := [name for name in ONNX_NEEDS if not find_spec(name)]):
        raise UserError(f'format onnx needs the package {missing[0]}: pip install {missing[0]}')
    whole = read_checkpoint(checkpoint)
    encoder = encoder_of(whole, f'checkpoint {checkpoint}', heads, branch)
    options = dict(raw_images=True) if raw_images else {}
    parts = out.with_name(f'.{out.name}.part')
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(parts, ignore_errors=True)  # what a killed export may have left
        parts.mkdir()
        usage = write(whole, encoder, parts / out.name, **options)
        if card and (parts / out.name).is_dir():
            (parts / out.name / 'README.md').write_text(card)
        os.rename(parts / out.name, out)
    except OSError as error:
        raise UserError(f'cannot write {out}: {error.strerror or error}') from error
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    return f'{encoder}: {usage}'


def _write_timm(whole: dict, encoder: Encoder, part: Path) -> str:
    classifier = read_classifier(whole, encoder.width)
    ratio = encoder.hidden / encoder.width
    if int(encoder.width * ratio) < encoder.hidden:  # as timm computes it
        ratio = math.nextafter(ratio, math.inf)
    arguments = dict(  # the weights fit this model exactly
        embed_dim=encoder.width,
        depth=encoder.layers,
        num_heads=encoder.heads,
        mlp_ratio=ratio,
        img_size=encoder.image,
        patch_size=encoder.patch,
        in_chans=encoder.channels,
        global_pool='avg' if encoder.pooled else 'token',
    )
    architecture = 'vit_base_patch16_224'  # the class; all sizes follow
    classes = len(classifier.names) if classifier else 0
    state = to_dialect(encoder.state, 'timm')
    if classifier:
        state |= {'head.weight': classifier.weight, 'head.bias': classifier.bias}
    if part.suffix:
        call = dict(model_name=architecture, num_classes=classes, **arguments)
        write_tensors(state, part, dict(format='pt', timm=json.dumps(call)))
        text = ', '.join(f'{key}={value!r}' for key, value in call.items())
        return f'for timm.create_model({text})'
    pretrained = dict(
        input_size=[encoder.channels, encoder.image, encoder.image],
        fixed_input_size=True,
        interpolation='bicubic',
        crop_pct=1.0,
        num_classes=classes,
        first_conv='patch_embed.proj',
        classifier='head',
        **{key: [v / 255 for v in values] for key, values in encoder.normalization.items()},
    )
    if classifier:
        pretrained['label_names'] = list(classifier.names)
    config = dict(
        architecture=architecture,
        num_classes=classes,
        num_features=encoder.width,
        global_pool=arguments['global_pool'],
        model_args=arguments,
        pretrained_cfg=pretrained,
    )
    part.mkdir()
    (part / 'config.json').write_text(json.dumps(config, indent=2) + '\n')
    write_tensors(state, part / 'model.safetensors', dict(format='pt'))
    return "for timm.create_model('local-dir:FOLDER', pretrained=True)"


class _RawImages(nn.Module):
    """A model behind the normalization of its images, RGB or other channels in [0, 255]."""

    def __init__(self, model: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer('mean', torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return self.model((images - self.mean) / self.std)


def _write_onnx(_: dict, encoder: Encoder, part: Path, raw_images: bool = False) -> str:
    import onnx

    known = encoder.normalization
    if raw_images and known.keys() != {'mean', 'std'}:
        raise UserError(f'{encoder.source} does not state its mean and std: leave out --raw-images')
    size = sum(value.numel() for value in encoder.state.values()) * 4  # float32
    if size >= ONNX_LIMIT:
        raise UserError(f'{encoder.source} is too large for one ONNX file: {size / 2**30:.1f} GiB')
    model: nn.Module = encoder.build()
    if raw_images:
        model = _RawImages(model, **known).eval()
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
        difference = _difference(model, data, torch.randn(3, *images.shape[1:]))
        checked = f'{checked} and onnxruntime (largest difference {difference:.1e})'
    part.write_bytes(data)
    shape = f'(batch, {encoder.channels}, {encoder.image}, {encoder.image})'
    kind = 'RGB images' if encoder.channels == 3 else f'images of {encoder.channels} channels'
    kind = f'{kind} in [0, 255]' if raw_images else 'normalized images'
    return f'{kind} {shape} to {output}, {checked}'


def _difference(model: nn.Module, onnx_model: bytes, images: Tensor) -> float:
    """Return the largest difference between PyTorch's and onnxruntime's output for images.

    Raises:
        RuntimeError: it is larger than rounding errors.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx_model, providers=['CPUExecutionProvider'])
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
FORMATS: dict[str, tuple[Callable[..., str], str]] = {
    'timm': (_write_timm, '.safetensors'),  # or a folder
    'hf': (write_hf, ''),
    'hf-mae': (write_hf_mae, ''),
    'onnx': (_write_onnx, '.onnx'),
}
