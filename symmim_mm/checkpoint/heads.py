"""What a checkpoint holds next to its encoder: a classifier, or a decoder of pixels."""

import re
from dataclasses import dataclass

from torch import Tensor

from symmim_mm.checkpoint.backbone import tensors_of
from symmim_mm.checkpoint.key_map import MAE_DECODER, mae_decoder, to_dialect
from symmim_mm.checkpoint.saved_config import read_settings
from symmim_mm.checkpoint.weights import check_weights
from symmim_mm.utils.errors import UserError

# The decoders' names without their blocks: MMPretrain's MAEPretrainDecoder, ours -> transformers'.
DECODER = {
    r'neck\.(mask_token|decoder_pos_embed)': r'\1',
    r'neck\.(decoder_embed|decoder_pred)\.(\w+)': r'\1.\2',
    r'neck\.ln1\.(\w+)': r'decoder_norm.\1',
    r'head\.decoder\.mask_token': r'mask_token',
    r'head\.decoder\.embed\.(\w+)': r'decoder_embed.\1',
    r'head\.decoder\.norm\.(\w+)': r'decoder_norm.\1',
    r'head\.predict\.(\w+)': r'decoder_pred.\1',
}
PROBE_EPS = 1e-6  # of FrozenFeatures
BLOCK = r'(?:neck\.decoder_blocks|head\.decoder\.blocks)\.(\d+)\.(.+)'


@dataclass(frozen=True)
class Classifier:
    """A linear layer on the encoder's features: weight ``(classes, width)``, bias, class names."""

    weight: Tensor
    bias: Tensor
    names: tuple[str, ...]


@dataclass(frozen=True)
class Decoder:
    """MAE's decoder, by the names of ``transformers.ViTMAEForPreTraining`` below ``decoder.``.

    ``heads`` is ``None`` where the config in the checkpoint does not state it.
    """

    state: dict[str, Tensor]
    width: int
    layers: int
    heads: int | None
    normalized: bool  # whether it predicts pixels normalized per patch
    mask_ratio: float


def read_classifier(checkpoint: dict, width: int) -> Classifier | None:
    """Return the classifier of a fine-tuning or linear probe, if it is one linear layer.

    The BatchNorm that comes before the layer of a linear probe (``FrozenFeatures``) becomes a part
    of it.

    Raises:
        UserError: a probe of anything but the class token, which no model of timm or transformers
            computes.
    """
    state = named_weights(checkpoint)
    weight, bias = (state.get(f'head.fc.{leaf}') for leaf in ('weight', 'bias'))
    if weight is None or bias is None:
        return None
    check_weights({'head.fc.weight': weight, 'head.fc.bias': bias}, 'the classifier')
    if weight.ndim != 2 or weight.shape != (*bias.shape, width):
        return None
    if any(name.startswith('neck.') for name in state):
        weight, bias = _fold_norm(weight, bias, state, read_settings(checkpoint))
    meta = checkpoint.get('meta')
    known = meta.get('dataset_meta') if isinstance(meta, dict) else None
    names = known.get('classes') if isinstance(known, dict) else None
    if not isinstance(names, list | tuple) or len(names) != len(bias):
        names = [f'LABEL_{index}' for index in range(len(bias))]
    return Classifier(weight, bias, tuple(map(str, names)))


def _fold_norm(
    weight: Tensor, bias: Tensor, state: dict[str, Tensor], settings: dict[str, object]
) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a linear probe that include the BatchNorm before its layer."""
    norm = {name: value for name, value in state.items() if name.startswith('neck.')}
    norm.pop('neck.norm.num_batches_tracked', None)
    mean, variance = (norm.get(f'neck.norm.running_{leaf}') for leaf in ('mean', 'var'))
    of_class_token = settings.get('model.neck.pooling') == 'cls_token' and len(norm) == 2
    if not of_class_token or mean is None or variance is None:
        raise UserError(
            'a probe of other features than the class token cannot be exported, as timm and '
            'transformers have no such classifier: export its backbone, the pre-training'
        )
    check_weights(norm, 'the norm of the probe')
    if not mean.shape == variance.shape == weight.shape[1:]:
        raise UserError('the norm of the probe is not as wide as its classifier')
    weight = weight / (variance + PROBE_EPS).sqrt()
    return weight, bias - weight @ mean


def read_decoder(checkpoint: dict) -> Decoder | None:
    """Return the decoder of a pre-training, if it has one of MAE's kind."""
    blocks, state = {}, {}
    for name, value in named_weights(checkpoint).items():
        if found := re.fullmatch(BLOCK, name):
            blocks[f'layers.{found[1]}.{found[2]}'] = value
        for pattern, theirs in DECODER.items():
            if found := re.fullmatch(pattern, name):
                state[found.expand(theirs)] = value
    if not blocks or 'decoder_embed.weight' not in state:
        return None
    check_weights(blocks | state, 'the decoder')
    if state['decoder_embed.weight'].ndim != 2:
        return None
    # As in files of transformers 4 and on the Hub, which 5 reads, too, but does not write.
    for name, value in to_dialect(blocks, 'hf').items():
        state[name.replace('encoder.layer', 'decoder_layers', 1)] = value
    stated = read_settings(checkpoint)
    heads = stated.get('model.neck.decoder_num_heads', stated.get('model.head.decoder.num_heads'))
    width = state['decoder_embed.weight'].shape[0]
    published = MAE_DECODER in tensors_of(checkpoint)
    if published and width % 32 == 0:  # models_mae.py: 16 heads at a width of 512
        heads = width // 32
    ratio = stated.get('model.backbone.mask_ratio')
    return Decoder(
        state=state,
        width=width,
        layers=len({name.split('.')[1] for name in blocks}),
        heads=heads if type(heads) is int else None,
        normalized=bool(stated.get('model.head.norm_pix')) or published,
        mask_ratio=ratio if isinstance(ratio, float) else 0.75,
    )


def named_weights(checkpoint: dict) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, MAE's own decoder by MMPretrain's names."""
    state = tensors_of(checkpoint)
    return state | mae_decoder(state)
