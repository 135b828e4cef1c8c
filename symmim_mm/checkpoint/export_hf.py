"""Folders for HuggingFace's transformers: config, weights, preprocessing, model card.

What holds an encoder alone becomes a ``ViTModel``; with a classifier on the class token a
``ViTForImageClassification``; with one on the mean of the patches, as after MAE's fine-tuning, a
``BeitForImageClassification``, which computes just that where ``ViT`` cannot; an encoder with its
decoder, on request, a ``ViTMAEForPreTraining``.
"""

import json
from pathlib import Path

from mmpretrain.models.utils import build_2d_sincos_position_embedding
from torch import Tensor, nn

from symmim_mm.checkpoint.encoder import Encoder
from symmim_mm.checkpoint.heads import read_classifier, read_decoder
from symmim_mm.checkpoint.key_map import to_dialect
from symmim_mm.checkpoint.weights import write_tensors
from symmim_mm.utils.errors import UserError


def write_hf(whole: dict, encoder: Encoder, folder: Path) -> str:
    """Write the encoder of a checkpoint, with the classifier there if there is one."""
    classifier = read_classifier(whole, encoder.width)
    config, state = _config(encoder), to_dialect(encoder.state, 'hf')
    if encoder.pooled:
        kind = 'Beit'
        # It has no bias of the keys, which changes nothing: it moves all logits of a query alike.
        state = {k: v for k, v in state.items() if not k.endswith('attention.key.bias')}
        config |= dict(
            model_type='beit', use_absolute_position_embeddings=True, layer_scale_init_value=0.0,
            drop_path_rate=0.0,
        )  # fmt: skip
    else:
        kind = 'ViT'
        config |= dict(model_type='vit', qkv_bias=True, encoder_stride=encoder.patch)
    architecture = f'{kind}Model'
    if classifier:
        architecture = f'{kind}ForImageClassification'
        state = {f'{kind.lower()}.{name}': value for name, value in state.items()}
        state |= {'classifier.weight': classifier.weight, 'classifier.bias': classifier.bias}
        config['id2label'] = dict(enumerate(classifier.names))
        config['label2id'] = {name: index for index, name in enumerate(classifier.names)}
    _write(encoder, folder, config | dict(architectures=[architecture]), state)
    option = '' if classifier or encoder.pooled else ', add_pooling_layer=False'
    return f'for transformers.{architecture}.from_pretrained(FOLDER{option})'


def write_hf_mae(whole: dict, encoder: Encoder, folder: Path) -> str:
    """Write encoder and decoder of a checkpoint.

    Raises:
        UserError: there is no decoder of MAE's kind, or its attention heads are unknown.
    """
    decoder = read_decoder(whole)
    if decoder is None or decoder.heads is None or encoder.pooled:
        raise UserError(
            f"{encoder.source} holds no decoder of MAE's kind together with the config of its run: "
            'export it with --format hf'
        )
    state = {f'decoder.{name}': value for name, value in decoder.state.items()}
    if 'decoder.decoder_pos_embed' not in state:  # ours is a constant that no checkpoint holds
        side = encoder.image // encoder.patch
        table = build_2d_sincos_position_embedding(side, decoder.width)
        # MMPretrain's table has row and column exchanged.
        table = table.view(1, side, side, -1).transpose(1, 2).flatten(1, 2)
        state['decoder.decoder_pos_embed'] = nn.functional.pad(table, (0, 0, 1, 0))  # class token
    state |= {f'vit.{name}': value for name, value in to_dialect(encoder.state, 'hf').items()}
    config = _config(encoder) | dict(
        architectures=['ViTMAEForPreTraining'], model_type='vit_mae', qkv_bias=True,
        decoder_hidden_size=decoder.width, decoder_num_hidden_layers=decoder.layers,
        decoder_num_attention_heads=decoder.heads, decoder_intermediate_size=4 * decoder.width,
        mask_ratio=decoder.mask_ratio, norm_pix_loss=decoder.normalized,
    )  # fmt: skip
    _write(encoder, folder, config, state)
    return 'for transformers.ViTMAEForPreTraining.from_pretrained(FOLDER)'


def _config(encoder: Encoder) -> dict:
    return dict(
        hidden_size=encoder.width,
        num_hidden_layers=encoder.layers,
        num_attention_heads=encoder.heads,
        intermediate_size=encoder.hidden,
        layer_norm_eps=1e-6,  # theirs is another by default
        image_size=encoder.image,
        patch_size=encoder.patch,
        num_channels=encoder.channels,
    )


def _write(encoder: Encoder, folder: Path, config: dict, state: dict[str, Tensor]) -> None:
    folder.mkdir()
    files = {'config.json': config}
    # Its processor reads color images alone.
    if encoder.normalization.keys() == {'mean', 'std'} and encoder.channels == 3:
        mean, std = ([v / 255 for v in encoder.normalization[key]] for key in ('mean', 'std'))
        files['preprocessor_config.json'] = dict(
            image_processor_type='ViTImageProcessor', do_resize=True, do_rescale=True,
            do_normalize=True, resample=3, rescale_factor=1 / 255, image_mean=mean, image_std=std,
            size=dict(height=encoder.image, width=encoder.image),
        )  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + '\n')
    write_tensors(state, folder / 'model.safetensors', dict(format='pt'))
