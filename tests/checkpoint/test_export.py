"""Exported backbones: the same features elsewhere, whole files or none, clear mistakes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmpretrain.models import VisionTransformer
from paths import ROOT
from processes import error_line
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_models import POOLED, TINY, backbone_weights, save_backbone, vit

from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.encoder import read_encoder
from symmim_mm.checkpoint.export import FORMATS, export_backbone
from symmim_mm.utils.errors import UserError

ENDINGS = {form: ending for form, (_, ending) in FORMATS.items()}


def saved(path: Path, model: torch.nn.Module) -> Path:
    """Save it with a mask token and a head, which are not exported."""
    extra = {'backbone.mask_token': torch.zeros(1, 1, 32), 'head.fc.weight': torch.zeros(4, 32)}
    return save_backbone(path, model, **extra)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / 'in').mkdir()
    return saved(tmp_path / 'in' / 'epoch_1.pth', vit())


def features(model: VisionTransformer, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(images)[0]


@pytest.mark.parametrize(
    'kwargs',
    [
        {}, POOLED, dict(img_size=48, patch_size=16, in_channels=1), dict(in_channels=5),
        dict(arch=TINY | dict(embed_dims=88, feedforward_channels=120)),  # 88 * (120 / 88) < 120
    ],
)  # fmt: skip
def test_timm_takes_it_strictly_and_gives_the_same_features(tmp_path: Path, kwargs: dict) -> None:
    import timm

    model = vit(**kwargs)
    out = tmp_path / 'new' / 'x.safetensors'
    export_backbone(saved(tmp_path / 'x.pth', model), 'timm', out, heads=4)
    with safe_open(out, 'pt') as file:
        arguments = json.loads(file.metadata()['timm'])
    theirs = timm.create_model(**arguments).eval()
    theirs.load_state_dict(load_file(out), strict=True)
    channels = model.patch_embed.projection.in_channels
    images = torch.randn(2, channels, *model.img_size)
    with torch.no_grad():
        found = theirs(images) if kwargs == POOLED else theirs.forward_features(images)
    torch.testing.assert_close(found, features(model, images), rtol=0, atol=1e-5)


@pytest.mark.parametrize('shared', [False, True])
@pytest.mark.parametrize('form', ['timm', 'hf'])
def test_what_was_exported_can_be_imported(tmp_path: Path, form: str, shared: bool) -> None:
    """Also tensors that share memory, as checkpoints of flattened parameters hold them."""
    state = backbone_weights(vit())
    if shared:
        numbers = torch.randn(10_000)
        state = {key: numbers[: value.numel()].view(value.shape) for key, value in state.items()}
    torch.save(dict(state_dict=state), tmp_path / 'x.pth')
    out = tmp_path / f'out{ENDINGS[form]}'
    export_backbone(tmp_path / 'x.pth', form, out, heads=4)
    target = vit()
    load_backbone(target, out / 'model.safetensors' if form == 'hf' else out)
    assert all(torch.equal(value, state[key]) for key, value in backbone_weights(target).items())


@pytest.mark.slow
@pytest.mark.parametrize('kwargs', [{}, POOLED], ids=['tokens', 'pooled'])
def test_onnx_file_runs_with_any_batch(tmp_path: Path, kwargs: dict) -> None:
    import onnx
    import onnxruntime

    model = vit(**kwargs)
    out = tmp_path / 'x.onnx'
    message = export_backbone(saved(tmp_path / 'x.pth', model), 'onnx', out, heads=4)
    assert 'checked with onnx and onnxruntime' in message
    onnx.checker.check_model(out, full_check=True)
    assert str(ROOT).encode() not in out.read_bytes()  # no paths of the machine it was made on
    session = onnxruntime.InferenceSession(out, providers=['CPUExecutionProvider'])
    assert [put.name for put in session.get_inputs()] == ['images']
    assert [put.name for put in session.get_outputs()] == ['features' if kwargs else 'tokens']
    for batch in (1, 5):
        images = torch.randn(batch, 3, 32, 32)
        found = torch.from_numpy(session.run(None, {'images': images.numpy()})[0])
        torch.testing.assert_close(found, features(model, images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('arch', 'heads'), [('deit-small', 6), ('base', 12), ('large', 16), ('deit-tiny', 3)]
)
def test_heads_of_the_standard_sizes_are_known(tmp_path: Path, arch: str, heads: int) -> None:
    with torch.device('meta'):
        model = VisionTransformer(arch=arch, out_type='raw')
        shapes = {key: value.shape for key, value in model.state_dict().items()}
    largest = torch.zeros(max(shape.numel() for shape in shapes.values()))  # saved once
    state = {f'backbone.{k}': largest[: n.numel()].view(n) for k, n in shapes.items()}
    torch.save(state, tmp_path / 'x.pth')
    encoder = read_encoder(tmp_path / 'x.pth')
    assert encoder.heads == heads
    assert encoder.build('meta').layers[0].attn.num_heads == heads


def without(tmp_path: Path, *keys: str, **kwargs) -> Path:
    state = backbone_weights(vit(**kwargs))
    torch.save({key: value for key, value in state.items() if key[9:] not in keys}, tmp_path / 'x')
    return tmp_path / 'x'


@pytest.mark.parametrize(
    ('make', 'form', 'words'),
    [
        (lambda path: without(path, 'layers.1.ln2.bias'), 'timm', 'see layers.1.ln2.bias'),
        (lambda path: without(path, final_norm=False), 'timm', 'not exactly one norm after its'),
        (lambda path: without(path, out_type='avg_featmap'), 'timm', 'not exactly one norm'),
        (lambda path: without(path, 'cls_token'), 'hf', 'no class token'),
        (lambda path: without(path, 'pos_embed'), 'hf', 'absolute position embedding'),
        (lambda path: without(path, img_size=(32, 48)), 'timm', 'not square'),
        (without, 'hf-mae', "no decoder of MAE's kind"),
    ],
)
def test_checkpoints_that_do_not_suit(tmp_path: Path, make, form: str, words: str) -> None:
    out = tmp_path / 'out' / f'x{ENDINGS[form]}'
    with pytest.raises(UserError, match=words):
        export_backbone(make(tmp_path), form, out, heads=4)
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_a_missing_onnx_is_one_clear_line(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'onnxscript', None)  # as Python marks what it cannot import
    with pytest.raises(UserError, match='format onnx needs the package onnxscript: pip install'):
        export_backbone(checkpoint, 'onnx', tmp_path / 'x.onnx', heads=4)


def test_what_a_killed_export_left_is_replaced(tmp_path: Path, checkpoint: Path) -> None:
    (tmp_path / '.out.part').mkdir()
    (tmp_path / '.out.part' / 'half').write_bytes(b'half')
    export_backbone(checkpoint, 'hf', tmp_path / 'out', heads=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['in', 'out']


@pytest.mark.slow
def test_command(tool, tmp_path: Path, checkpoint: Path) -> None:
    out = tmp_path / 'x.safetensors'
    arguments = ('export_backbone.py', checkpoint, '--format', 'timm', out, '--heads', '4')
    result = tool(*arguments, timeout=900)
    assert result.returncode == 0, result.stderr
    assert f'{out}: ViT 32 wide, 2 layers, 4 heads, patch 8, 32 x 32 pixels' in result.stdout
    assert 'timm.create_model(' in result.stdout
    assert out.stat().st_mode & 0o777 == checkpoint.stat().st_mode & 0o777
    before = out.read_bytes()
    error_line(tool(*arguments, timeout=900), f'{out} exists')
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ('name', 'form', 'out', 'heads', 'words'),
    [
        ('epoch_1.pth', 'timm', 'x.pth', 4, 'format timm is written as .safetensors'),
        ('epoch_1.pth', 'onnx', 'x', 4, 'format onnx is written as .onnx'),
        ('epoch_1.pth', 'keras', 'x', 4, "one of timm, hf, hf-mae, onnx, got 'keras'"),
        ('epoch_1.pth', 'hf', 'x', None, 'no standard number of attention heads.*give --heads'),
        ('epoch_1.pth', 'hf', 'x', 5, '--heads 5 does not divide the width'),
        ('epoch_1.pth', 'hf', 'x', 0, '--heads 0 does not divide the width'),
        ('no.pth', 'hf', 'x', 4, 'does not exist'),
        ('epoch_1.pth', 'hf', 'in', 4, 'in exists: name another path'),
        ('epoch_1.pth', 'hf', 'in/epoch_1.pth/x', 4, 'cannot write .*epoch_1.pth is not a folder'),
    ],
)
def test_mistakes(tmp_path: Path, checkpoint: Path, name, form, out, heads, words: str) -> None:
    with pytest.raises(UserError, match=words):
        export_backbone(checkpoint.parent / name, form, tmp_path / out, heads)
    assert [path.name for path in tmp_path.rglob('*')] == ['in', 'epoch_1.pth']


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(tmp_path: Path, checkpoint: Path) -> None:
    """A limit of 40 KiB on what a process may write stands for the full disk."""
    out = tmp_path / 'out'
    command = f'ulimit -f 40; exec "{sys.executable}" "$@"'
    tool = ROOT / 'tools' / 'export_backbone.py'
    result = subprocess.run(
        ['bash', '-c', command, '-', tool, checkpoint, '--format', 'hf', out, '--heads', '4'],
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    error_line(result, f'cannot write {out}', 'File too large')
    assert [path.name for path in tmp_path.iterdir()] == ['in']


def test_the_momentum_encoder_is_exported(tmp_path: Path) -> None:
    model, file = vit(), tmp_path / 'x.pth'
    state = {f'momentum.backbone.{key}': value + 1 for key, value in model.state_dict().items()}
    torch.save(dict(state_dict=state), file)
    export_backbone(file, 'timm', tmp_path / 'x.safetensors', heads=4, branch='momentum')
    found = load_file(tmp_path / 'x.safetensors')
    torch.testing.assert_close(found['cls_token'], model.cls_token.data + 1)
