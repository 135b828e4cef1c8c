"""Labels, options and runs that cannot work are refused before anything is trained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_data import coco, write

import symmim_mm
from symmim_mm.apis.own_data.detect import detect
from symmim_mm.apis.own_data.finetune import finetune
from symmim_mm.apis.own_data.pretrain import pretrain
from symmim_mm.apis.own_data.segment import segment
from symmim_mm.apis.predict import predict
from symmim_mm.cli.own_data import validation
from symmim_mm.utils.errors import UserError


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        ((), 'no checkpoint there'),
        (('epoch_1.pth',), 'has 0 configs'),
        (('epoch_1.pth', 'a.py', 'b.py'), 'has 2 configs'),
        (('epoch_1.pth', 'a.py'), 'is of the task None, which predicts nothing'),
    ],
)
def test_runs_that_cannot_predict(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=message):
        symmim_mm.load(tmp_path)
    with pytest.raises(UserError, match='no such image'):
        predict(tmp_path, tmp_path / 'no.png')
    with pytest.raises(UserError, match='no image is named'):
        predict(tmp_path, [])
    # No other checkpoint is taken in place of the one that is named.
    with pytest.raises(UserError, match='epoch_2.pth does not exist'):
        symmim_mm.load(tmp_path / 'epoch_2.pth')


def _spoil_case(root: Path) -> dict:
    shutil.copytree(root, root.with_name('val'))
    (root.with_name('val') / 'dog').rename(root.with_name('val') / 'Dog')
    return dict(val=root.with_name('val'))


def _spoil_bare(root: Path) -> dict:
    write(root / 'bare.png', 3)
    return {}


def _spoil_image(root: Path) -> dict:
    path = root / 'cat/0.png'
    path.write_bytes(path.read_bytes()[:60])
    return {}


def _spoil_small(root: Path) -> dict:
    for number in range(2, 10):
        (root / f'cat/{number}.png').unlink()
    return {}


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(epochs=0), '--epochs 0: must be an integer of at least 1'),
        (dict(epochs=-1), '--epochs -1'),
        (dict(epochs=1.5), r'--epochs 1\.5'),
        (dict(workers=-1), '--workers -1: must be an integer of at least 0'),
        (dict(seed=-1), '--seed -1'),
        (dict(image_size=0), '--image-size 0'),
        (dict(heads=0), '--heads 0'),
        (dict(budget='1'), '--budget 1: a number and s, m, h or d'),
        (dict(steps=0), '--steps 0'),
        (dict(steps=-5), '--steps -5'),
    ],
)
def test_numbers_that_cannot_work(options: dict, message: str, tmp_path: Path) -> None:
    """They are refused before anything is looked at: here the data are not even there."""
    commands = [(pretrain, 1), (finetune, 1), (detect, 2), (segment, 2)]
    for function, data in commands[: 1 if 'steps' in options else 4]:
        with pytest.raises(UserError, match=message):
            function(*['no'] * data, out=tmp_path / 'out', **options)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (_spoil_case, 'other classes than the training images: only one of them has Dog, dog'),
        (_spoil_bare, '1 images are in no class folder, e.g. bare.png'),
        (_spoil_image, 'cannot be read'),
        (_spoil_small, 'class cat has 2 images, too few'),
        (lambda root: dict(val=1.5), 'between 0 and 1'),
        (lambda root: dict(labels=0.0), 'labels must be a share'),
        (lambda root: dict(labels=0.01), 'too few to train'),
        (lambda root: dict(model='vit-x'), 'model must be one of vit-ti'),
        (lambda root: dict(model='vit-s', backbone='x.pth'), 'not both'),
        (lambda root: dict(image_size=30), 'multiple of the patch size'),
        (lambda root: dict(backbone=root / 'cat/1.png'), 'is not a PyTorch checkpoint'),
    ],
)
def test_class_folders_that_cannot_work(
    spoil: Callable[[Path], dict], message: str, classes: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        finetune(classes, **spoil(classes), epochs=1, out=tmp_path / 'out', report=lambda _: None)
    assert not (tmp_path / 'out/plan/finetune.py').exists()


@pytest.mark.parametrize(
    ('names', 'value', 'message'),
    [
        (('a.png', 'b.jpg'), 1, 'images that end in .*.png.*: MMSegmentation reads one'),
        (('a.png', 'c.png'), 1, '0 of the 2 images of .* have a label map'),
        (('0.png', '1.png'), 0, 'no label map has more than one class'),
    ],
)
def test_label_maps_that_cannot_work(
    names: tuple[str, ...], value: int, message: str, tmp_path: Path
) -> None:
    for name in names:
        write(tmp_path / 'images' / name, 9)
    for number in range(2):
        write(tmp_path / f'masks/{number}.png', np.full((40, 40), value * number, np.uint8))
    with pytest.raises(UserError, match=message):
        segment(tmp_path / 'images', tmp_path / 'masks', out=tmp_path / 'out')


def test_validation_with_other_classes(sample_data: Path, tmp_path: Path) -> None:
    content = json.loads(coco(sample_data)[0].read_text())
    content['categories'][0]['name'] += ' of another kind'
    (tmp_path / 'val.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match='has other classes than .* of another kind'):
        detect(*coco(sample_data), val=[tmp_path / 'val.json', coco(sample_data)[1]], out=tmp_path)


@pytest.mark.parametrize(
    ('words', 'value'),
    [(['none'], None), (['0.3'], 0.3), (['a', 'b'], ['a', 'b']), (['a'], 'a')],
)
def test_what_val_names(words: list[str], value: object) -> None:
    assert validation(words) == value


@pytest.mark.parametrize('val', ['a', ['a', 'b', 'c'], []])
def test_validation_of_another_number_of_paths(val: object, tmp_path: Path) -> None:
    """It would be measured on the images of the training, and called validation."""
    for function, paths in ((finetune, 1), (detect, 2), (segment, 2)):
        message = (
            f'must be a share such as 0.2, none, or {paths} path' if val != 'a' else 'path|such'
        )
        with pytest.raises(UserError, match=message):
            function(*['no'] * paths, val=val, out=tmp_path / 'out')
