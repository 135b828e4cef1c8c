"""Reading checkpoints: damaged and foreign files, the newest whole one, the load report."""

import errno
import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import POOLED, TINY, backbone_weights, save_backbone, vit
from torch import nn

from symmim_mm.checkpoint import read
from symmim_mm.checkpoint.backbone import load_backbone
from symmim_mm.checkpoint.read import newest_whole_checkpoint, read_checkpoint
from symmim_mm.utils.errors import UserError

WEIGHT = torch.arange(600.0)


@pytest.fixture(scope='module')
def whole() -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(state_dict=dict(weight=WEIGHT), meta=dict(epoch=1)), buffer)
    return buffer.getvalue()


@pytest.fixture(scope='module')
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('damaged') / 'epoch_1.pth'


def check_damaged(path: Path, content: bytes) -> None:
    """A file is refused, or holds what was saved: some bytes of an archive are of no use."""
    path.write_bytes(content)
    try:
        found = read_checkpoint(path)
    except UserError as error:
        assert 'epoch_1.pth' in str(error)
    else:
        assert torch.equal(found['state_dict']['weight'], WEIGHT) and found['meta'] == dict(epoch=1)


@given(data=st.data())
def test_no_other_byte_changes_a_value(whole: bytes, path: Path, data) -> None:
    index = data.draw(st.integers(0, len(whole) - 1))
    value = data.draw(st.integers(0, 255))
    check_damaged(path, whole[:index] + bytes([value]) + whole[index + 1 :])


@given(data=st.data())
def test_no_missing_part_changes_a_value(whole: bytes, path: Path, data) -> None:
    begin = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(begin + 1, len(whole)))
    check_damaged(path, whole[:begin] + whole[end:])
    check_damaged(path, whole[:begin] + bytes(end - begin) + whole[end:])


def test_the_damaged_entry_is_named(whole: bytes, path: Path) -> None:
    content = bytearray(whole)
    content[whole.index(WEIGHT.numpy().tobytes()) + 1000] ^= 1
    path.write_bytes(content)
    torch.load(path)  # which looks at no checksum
    with pytest.raises(UserError, match='epoch_1.pth is damaged: the checksum of .*data/0 is wr'):
        read_checkpoint(path)


def test_an_archive_larger_than_its_file_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('x/data.pkl', bytes(1 << 20))
    with pytest.raises(UserError, match='its entries do not fit into it'):
        read_checkpoint(path)


def test_the_newest_whole_checkpoint(
    tmp_path: Path, whole: bytes, capsys: pytest.CaptureFixture
) -> None:
    assert newest_whole_checkpoint(tmp_path) is None
    names = ['epoch_2.pth', 'epoch_9.pth', 'epoch_9_iter_4.pth', 'epoch_9_iter_12.pth']
    for name in names:
        (tmp_path / name).write_bytes(whole)
    (tmp_path / 'best_epoch_11.pth').write_bytes(b'of another kind')
    for broken, newest in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
        assert newest_whole_checkpoint(tmp_path) == tmp_path / broken
        (tmp_path / broken).write_bytes(whole[:1000])
        assert newest_whole_checkpoint(tmp_path) == tmp_path / newest
        assert broken in capsys.readouterr().out
    (tmp_path / names[0]).write_bytes(b'')
    with pytest.raises(UserError, match='none of the 4 checkpoints'):
        newest_whole_checkpoint(tmp_path)


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    for content in (b'', b'no checkpoint', pickle.dumps([1, 2])):
        (tmp_path / 'x.pth').write_bytes(content)
        with pytest.raises(UserError, match='x.pth'):
            read_checkpoint(tmp_path / 'x.pth')
    for path, words in ((tmp_path / 'none.pth', 'does not exist'), (tmp_path, 'is a folder')):
        with pytest.raises(UserError, match=words):
            read_checkpoint(path)


def test_report_counts_every_tensor(tmp_path: Path) -> None:
    source = vit()
    extra = {'backbone.mask_token': torch.zeros(1, 1, 32), 'head.weight': torch.zeros(3)}
    file = save_backbone(tmp_path / 'x.pth', source, **extra)
    target = vit(img_size=64, **POOLED)
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
    load_backbone(target, save_backbone(tmp_path / 'x.pth', source))
    assert target.pos_embed.shape == (1, 1 + 8 * 5, 32)
    assert (target.pos_embed[:, 0] == 7).all()
    torch.testing.assert_close(target.pos_embed[:, 1:], torch.full((1, 40, 32), 3.0))


@pytest.mark.parametrize(('side', 'count'), [((16, 40), 11), ((40, 16), 11), (48, 37)])
def test_oblong_grids(side: int | tuple[int, int], count: int, tmp_path: Path) -> None:
    """An equal grid stays as it is, another one is resized by the grid that the config states."""
    source = vit(img_size=(16, 40))
    text = 'model = dict(backbone=dict(img_size=(16, 40), patch_size=8))'
    file = tmp_path / 'x.pth'
    torch.save(dict(meta=dict(cfg=text), state_dict=backbone_weights(source)), file)
    target = vit(img_size=side)
    report = load_backbone(target, file)
    assert target.pos_embed.shape == (1, count, 32) and bool(report.resized) == (count != 11)
    assert torch.equal(target.pos_embed, source.pos_embed) == (side == (16, 40))


def test_without_class_token_positions_move_up_by_one(tmp_path: Path) -> None:
    source = vit()
    target = vit(with_cls_token=False, out_type='featmap')
    report = load_backbone(target, save_backbone(tmp_path / 'x.pth', source))
    assert torch.equal(target.pos_embed, source.pos_embed[:, 1:])
    assert 'cls_token' in report.unexpected


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        (dict(arch=TINY | dict(embed_dims=64)), r'this config, 64 wide .*32\) instead of .*64\)'),
        (dict(arch=TINY | dict(num_layers=3)), 'with 3 layers: layers.2.ln1.weight missing'),
        (dict(patch_size=16), r'projection.weight .*8\) instead of .*16\); take the config of'),
        (dict(arch=TINY | dict(feedforward_channels=128)), 'does not fit'),
    ],
)
def test_another_size_is_named_and_changes_nothing(tmp_path: Path, kwargs, words: str) -> None:
    file = save_backbone(tmp_path / 'x.pth', vit())
    target = vit(**kwargs)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(UserError, match=words):
        load_backbone(target, file)
    assert all(torch.equal(before[key], value) for key, value in target.state_dict().items())


def test_the_momentum_encoder_is_loaded_where_there_is_one(tmp_path: Path) -> None:
    online, momentum, target = vit(), vit(), vit()
    momentum.cls_token.data.fill_(5.0)
    inner = {f'momentum.backbone.{key}': value for key, value in momentum.state_dict().items()}
    inner['momentum.projector.w'] = torch.zeros(1)
    file = save_backbone(tmp_path / 'x.pth', online, **inner)
    load_backbone(target, file, branch='momentum')
    assert all(torch.equal(v, momentum.state_dict()[k]) for k, v in target.state_dict().items())
    load_backbone(target, file)
    assert torch.equal(target.cls_token, online.cls_token)
    with pytest.raises(UserError, match='take --branch online'):
        load_backbone(target, save_backbone(tmp_path / 'y.pth', online), branch='momentum')
    with pytest.raises(UserError, match='branch must be one of online, momentum, got ema'):
        load_backbone(target, file, branch='ema')


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='into the backbone of a model, .*, not into a Linear'):
        load_backbone(nn.Linear(1, 1), save_backbone(tmp_path / 'x.pth', vit()))


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (OSError(errno.EIO, 'Input/output error'), '^checkpoint .*cannot be read: Input/output er'),
        (torch.OutOfMemoryError('CUDA out of memory'), '^CUDA out of memory'),
        (ValueError(), '^checkpoint .*x.pth is not a PyTorch checkpoint or is damaged: ValueError'),
    ],
)
def test_only_what_the_file_is_to_blame_for_is_called_damage(
    error: Exception, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(read, 'safe_load', fail)
    (tmp_path / 'x.pth').touch()
    with pytest.raises((UserError, torch.OutOfMemoryError), match=words):
        read_checkpoint(tmp_path / 'x.pth')
