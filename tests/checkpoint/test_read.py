"""Reading checkpoints: hostile, broken and foreign files; the load report."""

import pickle
from pathlib import Path

import pytest
import torch
from mmpretrain.models import VisionTransformer

from symmim_mm.checkpoint.backbone import backbone_state, load_backbone
from symmim_mm.checkpoint.read import newest_whole_checkpoint, read_checkpoint
from symmim_mm.utils.errors import UserError

ARCH = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64)


def vit(**kwargs) -> VisionTransformer:
    settings = dict(arch=ARCH, img_size=32, patch_size=8, out_type='raw')
    return VisionTransformer(**(settings | kwargs))


def saved(path: Path, model: torch.nn.Module, **extra: torch.Tensor) -> Path:
    state = {f'backbone.{key}': value for key, value in model.state_dict().items()}
    torch.save(dict(state_dict={**state, **extra}, meta=dict(epoch=1)), path)
    return path


class Hostile:
    """Unpickling this writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), 'w')


def test_a_hostile_file_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / 'owned'
    file = tmp_path / 'hostile.pth'
    torch.save(dict(state_dict={}, meta=Hostile(target)), file)
    with pytest.raises(UserError, match='refused: loading it would run io.open'):
        read_checkpoint(file)
    assert not target.exists()
    monkeypatch.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD')
    torch.load(file, weights_only=False)  # the file does what it is meant to
    assert target.exists()


def test_a_training_checkpoint_of_mmengine_is_read(tmp_path: Path) -> None:
    from mmengine.logging import HistoryBuffer

    history = HistoryBuffer([1.0, 2.0], [1, 1])
    file = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict={}, message_hub=dict(log_scalars=dict(loss=history))), file)
    scalars = read_checkpoint(file)['message_hub']['log_scalars']
    assert scalars['loss'].mean() == 1.5


@pytest.mark.parametrize('content', [b'', b'no checkpoint', pickle.dumps([1, 2])])
def test_files_that_are_no_checkpoints(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / 'x.pth'
    file.write_bytes(content)
    with pytest.raises(UserError, match='x.pth'):
        read_checkpoint(file)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path / 'x.pth', vit())
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(UserError, match='damaged'):
        read_checkpoint(file)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='does not exist'):
        read_checkpoint(tmp_path / 'none.pth')
    with pytest.raises(UserError, match='is a folder'):
        read_checkpoint(tmp_path)


def test_report_counts_every_tensor(tmp_path: Path) -> None:
    source = vit()
    file = saved(
        tmp_path / 'x.pth',
        source,
        **{'backbone.mask_token': torch.zeros(1, 1, 32), 'head.weight': torch.zeros(3)},
    )
    target = vit(img_size=64, out_type='avg_featmap', final_norm=False)
    report = load_backbone(target, file)
    assert report.unexpected == ['ln1.weight', 'ln1.bias', 'mask_token']
    assert report.missing == ['ln2.weight', 'ln2.bias']
    assert report.resized == ['pos_embed 17 -> 65 positions']
    assert len(report.loaded) == len(target.state_dict()) - 2
    assert 'pos_embed 17 -> 65' in str(report)
    assert torch.equal(target.layers[1].attn.qkv.weight, source.layers[1].attn.qkv.weight)


def test_resized_position_embedding_keeps_the_class_token_and_a_constant(tmp_path: Path) -> None:
    source = vit()
    source.pos_embed.data[:, 0] = 7.0
    source.pos_embed.data[:, 1:] = 3.0
    target = vit(img_size=(64, 40))
    load_backbone(target, saved(tmp_path / 'x.pth', source))
    assert target.pos_embed.shape == (1, 1 + 8 * 5, 32)
    assert (target.pos_embed[:, 0] == 7).all()
    torch.testing.assert_close(target.pos_embed[:, 1:], torch.full((1, 40, 32), 3.0))


def test_without_class_token_positions_move_up_by_one(tmp_path: Path) -> None:
    source = vit()
    source.pos_embed.data.normal_()
    target = vit(with_cls_token=False, out_type='featmap')
    report = load_backbone(target, saved(tmp_path / 'x.pth', source))
    assert torch.equal(target.pos_embed, source.pos_embed[:, 1:])
    assert 'cls_token' in report.unexpected


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        (dict(arch=ARCH | dict(embed_dims=64)), r'32 wide, 2 layers, patch 8; this config has 64'),
        (dict(arch=ARCH | dict(num_layers=3)), 'this config has 32 wide, 3 layers'),
        (dict(patch_size=16), 'this config has 32 wide, 2 layers, patch 16'),
        (dict(arch=ARCH | dict(feedforward_channels=128)), 'does not fit'),
    ],
)
def test_another_size_is_named_and_changes_nothing(tmp_path: Path, kwargs, words: str) -> None:
    file = saved(tmp_path / 'x.pth', vit())
    target = vit(**kwargs)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(UserError, match=words):
        load_backbone(target, file)
    assert all(torch.equal(before[key], value) for key, value in target.state_dict().items())


@pytest.mark.parametrize('key', ['extra.weight', 'layers.0.attn.relative_position_bias'])
def test_unexpected_keys_fail(tmp_path: Path, key: str) -> None:
    file = saved(tmp_path / 'x.pth', vit(), **{f'backbone.{key}': torch.zeros(2)})
    with pytest.raises(UserError, match=f'{key} unexpected'):
        load_backbone(vit(), file)


def test_missing_keys_fail(tmp_path: Path) -> None:
    model = vit()
    del model.layers[1].ln2
    with pytest.raises(UserError, match=r'layers.1.ln2.weight missing'):
        load_backbone(vit(), saved(tmp_path / 'x.pth', model))


def test_a_checkpoint_without_backbone_says_what_it_has() -> None:
    with pytest.raises(UserError, match='starts with encoder, head'):
        backbone_state({'encoder.x': torch.zeros(1), 'head.y': torch.zeros(1)})


def test_a_broken_newest_checkpoint_is_named_and_passed_over(tmp_path: Path, capsys) -> None:
    assert newest_whole_checkpoint(tmp_path) is None
    saved(tmp_path / 'epoch_2.pth', vit())
    file = saved(tmp_path / 'epoch_9.pth', vit())
    assert newest_whole_checkpoint(tmp_path) == file
    broken = saved(tmp_path / 'epoch_10.pth', vit())
    broken.write_bytes(broken.read_bytes()[:1000])
    assert newest_whole_checkpoint(tmp_path) == file
    assert 'epoch_10.pth' in capsys.readouterr().out
