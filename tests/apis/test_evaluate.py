"""k-NN and linear evaluation: what is reported before encoding, what survives."""

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from paths import ROOT
from torch import nn
from torch.utils.data import DataLoader

from symmim_mm.apis import evaluate
from symmim_mm.evaluation import feature_cache
from symmim_mm.evaluation.feature_cache import features_key
from symmim_mm.evaluation.features import build_loaders
from symmim_mm.registry import MODELS
from symmim_mm.results.record import FILE_NAME, Record
from symmim_mm.utils.errors import UserError


def run(
    work_dir: Path,
    train: Path,
    val: Path,
    backbone: Path | None = None,
    branch: str = 'online',
    feature_cache: str | None = None,
    amp: bool = False,
    task: str = 'knn',
    **options: object,
) -> None:
    """Evaluate; ``options`` are those of the config's ``evaluation``."""
    roots = {'train_dataloader.dataset.data_root': train, 'val_dataloader.dataset.data_root': val}
    evaluate.evaluate_features(
        task,
        str(ROOT / f'configs/quickstart/{task}.py'),
        backbone=backbone,
        branch=branch,
        work_dir=str(work_dir),
        feature_cache=feature_cache,
        amp=amp,
        cfg_options={key: str(root) for key, root in roots.items()}
        | {f'evaluation.{key}': value for key, value in options.items()},
    )


def disk_full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def images(sample_data: Path) -> Path:
    return sample_data / 'imagenet'


@pytest.fixture
def no_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def extract(*_: object) -> None:
        raise AssertionError('encoded')

    monkeypatch.setattr(evaluate, 'extract', extract)


@pytest.mark.parametrize(
    ('name', 'problem'),
    [(b'w', 'result.json is a folder'), (b'w\xff', 'run: should be a valid string')],
)
def test_a_folder_without_room_for_a_record_is_reported_before_encoding(
    tmp_path: Path, images: Path, no_encoding: None, name: bytes, problem: str
) -> None:
    (tmp_path / 'w' / FILE_NAME).mkdir(parents=True)
    with pytest.raises(UserError, match=problem):
        run(tmp_path / os.fsdecode(name), images, images)


def test_a_full_disk_is_reported_before_encoding(
    tmp_path: Path, images: Path, no_encoding: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('tempfile.TemporaryFile', disk_full)
    with pytest.raises(OSError, match='No space left on device'):
        run(tmp_path, images, images)


def test_different_classes_are_reported_before_encoding(
    tmp_path: Path, images: Path, no_encoding: None
) -> None:
    other = tmp_path / 'other'
    shutil.copytree(images, other)
    shutil.rmtree(sorted((other / 'val').iterdir())[0])
    with pytest.raises(UserError, match='different classes'):
        run(tmp_path / 'w', images, other)


def test_a_broken_record_next_to_the_backbone_is_reported_before_encoding(
    tmp_path: Path, images: Path, no_encoding: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = tmp_path / 'last.pth'
    backbone.touch()
    (tmp_path / FILE_NAME).write_text('{')
    monkeypatch.setattr(evaluate, 'load_backbone', lambda *_: 'loaded')
    with pytest.raises(UserError, match='Invalid JSON'):
        run(tmp_path / 'w', images, images, backbone)


def test_the_accuracy_is_printed_even_if_the_disk_fills_up(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(Record, 'write', disk_full)
    with pytest.raises(OSError, match='No space left'):
        run(tmp_path, images, images)
    assert 'knn top-1 ' in capsys.readouterr().out


def test_a_grid_and_two_poolings_are_recorded(tmp_path: Path, images: Path) -> None:
    poolings = ['patch_mean', 'cls_token']
    run(tmp_path, images, images, pooling=poolings, held_out=0.5, **{'grid.k': [1, 5]})
    record = Record.read(tmp_path / FILE_NAME)
    assert (record.data.train.images, record.data.val.images) == (40, 20)
    metrics = record.metrics
    assert metrics['chosen_k'] in (1, 5)
    assert metrics['top1'] == metrics[f'top1_k={metrics["chosen_k"]:g}']
    chosen = metrics['cls_token_chosen_k']
    assert metrics['cls_token_top1'] == metrics[f'cls_token_top1_k={chosen:g}']
    better = metrics['held_out_top1'] < metrics['cls_token_held_out_top1']
    assert metrics['chosen_top1'] == metrics['cls_token_top1' if better else 'top1']


def test_an_unknown_pooling_is_one_line(tmp_path: Path, images: Path) -> None:
    with pytest.raises(UserError, match='evaluation.pooling must be one of'):
        run(tmp_path, images, images, pooling=['patch_mean', 'max'])


@pytest.mark.parametrize('name', ['K', 'grid.weight_decay'])
def test_an_unknown_setting_is_reported_before_encoding(
    name: str, tmp_path: Path, images: Path, no_encoding: None
) -> None:
    message = f'evaluation.{name.split(".")[-1]} is no setting: take k, temp'
    with pytest.raises(UserError, match=message):
        run(tmp_path, images, images, **{name: [1]})


def test_a_branch_of_nothing_is_refused(tmp_path: Path, images: Path) -> None:
    with pytest.raises(UserError, match='--branch momentum needs --backbone FILE'):
        run(tmp_path / 'w', images, images, branch='momentum')


def test_weights_of_a_training_are_refused(tmp_path: Path, images: Path) -> None:
    torch.save(dict(state_dict={}), tmp_path / 'weights.pth')
    options = {'load_from': str(tmp_path / 'weights.pth')}
    for split in ('train', 'val'):
        options[f'{split}_dataloader.dataset.data_root'] = str(images)
    with pytest.raises(
        UserError, match='load_from is of trainings: name the weights by --backbone'
    ):
        evaluate.evaluate_features(
            'knn', ROOT / 'configs/quickstart/knn.py', work_dir=tmp_path, cfg_options=options
        )


def test_the_branch_is_in_the_record(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accuracies of the momentum encoder are not repetitions of those of the online encoder."""
    asked = []
    monkeypatch.setattr(evaluate, 'load_backbone', lambda _, path, branch: asked.append(branch))
    backbone = tmp_path / 'last.pth'
    backbone.touch()
    hashes = set()
    for branch in ('online', 'momentum'):
        run(tmp_path / branch, images, images, backbone, branch)
        hashes.add(Record.read(tmp_path / branch / FILE_NAME).config_sha256)
    assert asked == ['online', 'momentum']
    assert len(hashes) == 2


def test_features_are_encoded_once(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Anew where images change, where a file is damaged and where nothing is kept."""
    encoded: list[tuple] = []
    extract, judge = evaluate.extract, evaluate.judge
    features: list[torch.Tensor] = []

    def count(model: nn.Module, _: nn.Module, loader: DataLoader, *rest: object) -> tuple:
        encoded.append(loader.dataset.data_prefix['img_path'])
        return extract(model, _, loader, *rest)

    def keep(*arguments: object) -> dict[str, float]:
        features.append(arguments[3])
        return judge(*arguments)

    monkeypatch.setattr(evaluate, 'extract', count)
    monkeypatch.setattr(evaluate, 'judge', keep)

    def encodings(name: str, **options: object) -> int:
        encoded.clear()
        run(tmp_path / name, data, data, **options)
        assert torch.equal(features[0], features[-1])
        return len(encoded)

    data = tmp_path / 'data'
    shutil.copytree(images, data)
    assert [encodings('first'), encodings('second', k=5)] == [2, 0]
    first, second = (Record.read(tmp_path / name / FILE_NAME) for name in ('first', 'second'))
    assert second.duration_s > 0 and first.data == second.data
    assert encodings('linear', task='linear') == 0
    assert encodings('third', feature_cache='none') == 2
    image = next((data / 'val').rglob('*.*g'))
    os.utime(image, ns=(0, 0))
    assert encodings('fourth') == 1
    for change in (
        lambda content: content[:-1],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    ):
        for path in (tmp_path / '.features').glob('*.safetensors'):
            path.write_bytes(change(path.read_bytes()))
        capsys.readouterr()
        assert encodings('fifth') == 2
        assert capsys.readouterr().out.count('encoding again') == 2
    assert encodings('sixth') == 0


def test_mixed_precision(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features to bf16's rounding, not taken for those in float32; refused without matrix units."""
    found = []

    def judge(classify, grid, held_out, features, *_) -> dict[str, float]:
        found.append(features)
        return dict(top1=0.0)

    monkeypatch.setattr(evaluate, 'judge', judge)
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, 'check_bf16_units', lambda: None)
        for name, amp in (('full', False), ('half', True)):
            run(tmp_path / name, images, images, amp=amp)
    assert not torch.equal(*found)
    assert (found[0] - found[1]).norm() < 0.02 * found[0].norm()
    full, half = (Record.read(tmp_path / name / FILE_NAME) for name in ('full', 'half'))
    assert full.config_sha256 != half.config_sha256
    if not torch.cuda.is_available():
        monkeypatch.setattr(torch.cpu, 'get_capabilities', dict)
        with pytest.raises(UserError, match='--amp needs a GPU'):
            run(tmp_path / 'refused', images, images, amp=True)


def test_other_weights_are_encoded_and_old_features_make_room(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = Config.fromfile(ROOT / 'configs/quickstart/knn.py')
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(images)
    dataset = build_loaders(cfg)['val'].dataset
    model = MODELS.build(cfg.model.backbone)
    key = features_key(model, dataset, cfg, 'val')
    assert key == features_key(model, dataset, cfg, 'val')
    assert key != features_key(model, dataset, cfg, 'val', amp=True)
    assert key != features_key(model, dataset, cfg, 'train')  # another folder of images
    next(model.parameters()).data.flatten()[0] += 1e-3
    assert key != features_key(model, dataset, cfg, 'val')

    monkeypatch.setattr(feature_cache, 'MOST_BYTES', 1000)
    for name in ('a', 'b'):
        feature_cache.cached(
            tmp_path, name, ['x'], lambda: (dict(x=torch.ones(20, 8)), torch.ones(20, dtype=int))
        )
    assert [path.name for path in tmp_path.glob('*.safetensors')] == ['b-x.safetensors']
