"""Exports opened by timm, transformers and onnxruntime: the same outputs, whole models."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from make_runs import record, write
from mmengine.config import Config
from mmengine.registry import MODELS
from safetensors.torch import load_file
from tiny_models import POOLED, backbone_weights, tiny_config, vit
from torch import Tensor

from symmim_mm.apis.export import export
from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.encoder import read_encoder
from symmim_mm.checkpoint.export import export_backbone
from symmim_mm.models.backbones.frozen_features import AttentiveFeatures, FrozenFeatures
from symmim_mm.utils.errors import UserError
from symmim_mm.utils.files import file_sha256

TRANSFORMERS = Path(sys.prefix) / 'transformers'  # where `make setup` puts it
MEAN, STD = [100.0, 110.0, 120.0], [50.0, 55.0, 60.0]
NAMES = ('cat', 'dog', 'owl', 'yak')
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
OPEN = """
import sys, torch, transformers
from transformers import AutoImageProcessor
folder = sys.argv[1]
for case in torch.load(f'{folder}/cases.pt'):
    model, report = getattr(transformers, case['kind']).from_pretrained(
        f"{folder}/{case['name']}", output_loading_info=True, **case['options'])
    assert not any(report[key] for key in ('missing_keys', 'unexpected_keys', 'mismatched_keys'))
    model.eval()
    if 'MAE' in case['kind']:
        model.config.mask_ratio = 0.0
    with torch.no_grad():
        found = model(case['images'], **case['inputs'])
    found = found.last_hidden_state if case['kind'] == 'ViTModel' else found.logits
    torch.testing.assert_close(found, case['expected'], rtol=0, atol=1e-5)
    if case['kind'].endswith('Classification'):
        assert model.config.id2label == {0: 'cat', 1: 'dog', 2: 'owl', 3: 'yak'}
    preparation = AutoImageProcessor.from_pretrained(f"{folder}/{case['name']}")
    assert [round(255 * value) for value in preparation.image_mean] == [100, 110, 120]
    print(case['name'])
"""


def checkpoint(path: Path, state: dict[str, Tensor], model: dict | None = None) -> Path:
    """Save it as MMEngine does, with the text of the run's config and the names of the classes."""
    model = (model or {}) | dict(data_preprocessor=dict(mean=MEAN, std=STD))
    meta = dict(cfg=Config(dict(model=model)).pretty_text, dataset_meta=dict(classes=NAMES))
    torch.save(dict(state_dict=state, meta=meta), path)
    return path


def classified(path: Path, **kwargs: object) -> tuple[Path, Tensor]:
    """A checkpoint of a fine-tuning, and its logits."""
    model = vit(**kwargs)
    weight, bias = torch.randn(4, 32) / 6, torch.randn(4)
    state = backbone_weights(model) | {'head.fc.weight': weight, 'head.fc.bias': bias}
    with torch.no_grad():
        found = model(IMAGES)[0]
        logits = (found if found.ndim == 2 else found[:, 0]) @ weight.T + bias
    return checkpoint(path, state), logits


def decoded(path: Path, method: str) -> tuple[Path, Tensor]:
    """A checkpoint of a pre-training with a decoder, and its prediction of every patch."""
    config = tiny_config(method, decoder_depth=2)
    model = MODELS.build(config).eval()
    model.init_weights()
    checkpoint(path, model.state_dict(), config)
    with torch.no_grad():
        tokens = read_encoder(path).build()(IMAGES)[0]
        if method == 'mae':
            return path, model.neck(tokens, torch.arange(16).repeat(2, 1))
        return path, model.head(tokens, None)


@pytest.mark.slow
@pytest.mark.skipif(not TRANSFORMERS.exists(), reason='not set up by `make setup`')
def test_transformers_opens_them_and_computes_the_same(tmp_path: Path) -> None:
    """No key is missing, unexpected or of another shape; outputs are equal to 1e-5."""
    plain = vit()
    with torch.no_grad():
        tokens = plain(IMAGES)[0]
    noise = dict(noise=torch.arange(16.0).repeat(2, 1))
    rows = [
        ('ViTModel', 'hf', checkpoint(tmp_path / 'a.pth', backbone_weights(plain)), tokens, {}),
        ('BeitForImageClassification', 'hf', *classified(tmp_path / 'b.pth', **POOLED), {}),
        ('ViTForImageClassification', 'hf', *classified(tmp_path / 'c.pth'), {}),
        ('ViTMAEForPreTraining', 'hf-mae', *decoded(tmp_path / 'd.pth', 'mae'), noise),
        ('ViTMAEForPreTraining', 'hf-mae', *decoded(tmp_path / 'e.pth', 'symmim'), noise),
    ]
    cases = []
    for number, (kind, form, file, expected, inputs) in enumerate(rows):
        message = export_backbone(file, form, tmp_path / str(number), heads=4, card='# card')
        assert f'transformers.{kind}.from_pretrained' in message
        assert (tmp_path / str(number) / 'README.md').read_text() == '# card'
        options = dict(add_pooling_layer=False) if kind == 'ViTModel' else {}
        cases.append(
            dict(kind=kind, name=str(number), options=options, inputs=inputs,
                 images=IMAGES, expected=expected)
        )  # fmt: skip
        # And back: the encoder that was exported.
        target = vit(**(POOLED if kind.startswith('Beit') else {}))
        load_backbone(target, tmp_path / str(number) / 'model.safetensors')
        want = read_encoder(file, heads=4).state
        for name, value in target.state_dict().items():
            if kind.startswith('Beit') and name.endswith('qkv.bias'):
                value, want[name] = value.view(3, -1)[::2], want[name].view(3, -1)[::2]
            assert torch.equal(value, want[name]), name
    torch.save(cases, tmp_path / 'cases.pt')
    environ = {**os.environ, 'PYTHONPATH': str(TRANSFORMERS), 'OMP_NUM_THREADS': '1'}
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', OPEN, tmp_path],
        env=environ, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(number) for number in range(5)]


@pytest.mark.parametrize('kwargs', [{}, POOLED], ids=['class token', 'pooled'])
def test_timm_opens_the_folder_strictly(tmp_path: Path, kwargs: dict) -> None:
    import timm
    from timm.data import resolve_model_data_config

    file, logits = classified(tmp_path / 'x.pth', **kwargs)
    out = tmp_path / 'out'
    assert 'local-dir:' in export_backbone(file, 'timm', out, heads=4)
    model = timm.create_model(f'local-dir:{out}', pretrained=True).eval()
    assert model.state_dict().keys() == load_file(out / 'model.safetensors').keys()
    with torch.no_grad():
        torch.testing.assert_close(model(IMAGES), logits, rtol=0, atol=1e-5)
    data = resolve_model_data_config(model)
    assert data['input_size'] == (3, 32, 32)
    assert [round(255 * value) for value in (*data['mean'], *data['std'])] == [*MEAN, *STD]
    assert model.pretrained_cfg['label_names'] == list(NAMES)
    target = vit(**kwargs)
    load_backbone(target, out / 'model.safetensors')
    assert torch.equal(target.state_dict()['cls_token'], read_encoder(file, 4).state['cls_token'])


def probe(pooling: str) -> tuple[dict[str, Tensor], dict, Tensor]:
    """Tensors and config of a linear probe as it is trained here, and its logits."""
    model, neck = vit(), FrozenFeatures(32, pooling)
    neck.norm.running_mean.normal_()
    neck.norm.running_var.uniform_(0.1, 4)
    weight, bias = torch.randn(4, 32) / 6, torch.randn(4)
    state = backbone_weights(model) | {'head.fc.weight': weight, 'head.fc.bias': bias}
    state |= {f'neck.{name}': value for name, value in neck.state_dict().items()}
    with torch.no_grad():
        logits = neck.eval()(model(IMAGES))[0] @ weight.T + bias
    return state, dict(neck=dict(pooling=pooling)), logits


def test_a_probe_of_the_class_token_takes_its_norm_along(tmp_path: Path) -> None:
    import timm

    state, model, logits = probe('cls_token')
    file = checkpoint(tmp_path / 'probe.pth', state, model)
    export_backbone(file, 'timm', tmp_path / 'out', heads=4)
    found = timm.create_model(f'local-dir:{tmp_path / "out"}', pretrained=True).eval()
    with torch.no_grad():
        torch.testing.assert_close(found(IMAGES), logits, rtol=0, atol=1e-5)


ATTENTIVE = {f'neck.{k}': v for k, v in AttentiveFeatures(32, 4).state_dict().items()}


@pytest.mark.parametrize(
    ('form', 'pooling', 'more', 'words'),
    [
        ('timm', 'patch_mean', {}, 'a probe of other features than the class token'),
        ('hf', 'patch_mean', {}, 'a probe of other features than the class token'),
        ('hf', 'cls_token', ATTENTIVE, 'a probe of other features than the class token'),
        ('timm', 'cls_token', {'neck.norm.running_var': torch.ones(5)}, 'not as wide as its class'),
    ],
)
def test_other_probes_are_refused(
    form: str, pooling: str, more: dict, words: str, tmp_path: Path
) -> None:
    state, model, _ = probe(pooling)
    file = checkpoint(tmp_path / 'probe.pth', state | more, model)
    with pytest.raises(UserError, match=words):
        export_backbone(file, form, tmp_path / 'out', heads=4)


@pytest.mark.slow
def test_onnx_normalizes_raw_images(tmp_path: Path) -> None:
    import onnxruntime

    model = vit()
    file = checkpoint(tmp_path / 'x.pth', backbone_weights(model))
    export_backbone(file, 'onnx', tmp_path / 'x.onnx', heads=4, raw_images=True)
    session = onnxruntime.InferenceSession(tmp_path / 'x.onnx', providers=['CPUExecutionProvider'])
    pixels = torch.randint(256, (3, 3, 32, 32)).float()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        expected = model((pixels - mean) / std)[0]
    found = torch.from_numpy(session.run(None, {'images': pixels.numpy()})[0])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_what_the_checkpoint_does_not_say_is_left_out(tmp_path: Path) -> None:
    torch.save(dict(state_dict=backbone_weights(vit())), tmp_path / 'x.pth')
    export_backbone(tmp_path / 'x.pth', 'hf', tmp_path / 'out', heads=4)
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == ['config.json', 'model.safetensors']
    config = json.loads((tmp_path / 'out/config.json').read_text())
    assert config['architectures'] == ['ViTModel'] and config['layer_norm_eps'] == 1e-6


def test_the_card_says_what_the_record_says(tmp_path: Path) -> None:
    """Only next to the checkpoint that the record names by its hash, as for every transfer."""
    (tmp_path / 'run').mkdir()
    file = checkpoint(tmp_path / 'run/epoch_1.pth', backbone_weights(vit()))
    named = dict(checkpoint='epoch_1.pth', checkpoint_sha256=file_sha256(file))
    write(tmp_path, record(task='pretrain', run='run', dataset='birds|x', seed=3, **named))
    export(file, 'hf', tmp_path / 'out', heads=4)
    card = (tmp_path / 'out/README.md').read_text()
    assert card.startswith('---\nlibrary_name: transformers\n')
    export(file, 'timm', tmp_path / 'timm', heads=4)
    assert (tmp_path / 'timm/README.md').read_text().startswith('---\nlibrary_name: timm\n')
    for row in ('| method | symmim |', '| training data | birds/x |', '| seed | 3 |'):
        assert row in card
    with file.open('ab') as more:
        more.write(b' ')
    export(file, 'hf', tmp_path / 'other', heads=4)
    assert not (tmp_path / 'other/README.md').exists()
